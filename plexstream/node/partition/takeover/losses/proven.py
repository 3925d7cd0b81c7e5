"""What the state stores prove of an embedded log: that its journal was once at least so long.

A store is written after the journal, and has the same life: if it is ahead, the log lacks acknowledged
records, as after an older copy of its folder was put in its place. Then nothing starts: a store that is ahead
is wiped.
"""

from __future__ import annotations

from pathlib import Path

from plexstream.log.base import Item, Log, Place
from plexstream.log.embedded.files.disk import Damage, refuse
from plexstream.model.errors import Malformed, StoreCorrupt
from plexstream.model.journal.journal import Mark, Step, Turn
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.partition.sums.lineage import LIFE_KEY, decode
from plexstream.node.partition.sums.snapshots import PARTITION_KEY
from plexstream.node.partition.takeover.losses.filling import NOBODY
from plexstream.node.shared.leftovers import store_path
from plexstream.schema.codec import decode_partition
from plexstream.store.rocks import peek


def beyond(log: Log, topics: Topics, state_dir: Path, proven: dict[Place, int] | None = None) -> list[Damage]:
    """What the log lacks, by the stores of its own life. `proven` gets the ends that they know."""
    found = []
    life = log.topic_id(topics.journal)
    for partition in range(log.partitions(topics.journal) or 0):
        path = store_path(state_dir, partition)
        if not path.is_dir():
            continue
        try:
            stored, lineage = peek(path, [PARTITION_KEY, LIFE_KEY])
            upto = decode_partition(stored.data).start if stored is not None else 0
        except (StoreCorrupt, Malformed):
            continue  # whoever opens it says so, and rebuilds it
        history = decode(lineage)
        _, end = log.range((topics.journal, partition))
        if history is not None and history.journal == life and upto > end:
            name = f"{topics.journal}[{partition}]"
            what = f"this state store reflects {name} up to {upto}, and the log ends at {end}"
            lost = f"offsets {end} to {upto - 1} of {name}, and whatever went with them"
            found.append(Damage(path, -1, what, lost))
            if proven is not None:
                proven[topics.journal, partition] = upto
    return found


def void(topics: Topics, topic: str) -> Item | None:
    """What stands for a lost record: the journal has no holes, so a record that counts for nothing."""
    if topic != topics.journal:
        return None
    records: list[Turn | Step | Mark] = [Mark(NOBODY, 0, (), 0, 0, -1, "", False)]
    return journal_items(records)[0]


def check(log: Log, topics: Topics, state_dir: Path) -> None:
    """Raises LogDamaged if the log is shorter than a state store proves."""
    for damage in beyond(log, topics, state_dir):
        refuse(damage)
