"""The manifest: what the embedded log held when it was last put into segments. Two copies, each a frame.

Everything behind it is in the write-ahead log. One copy may be lost or garbled without harm: they are
written one after the other, and files that only the older one knows are deleted after both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from plexstream.log.embedded.files import disk
from plexstream.log.embedded.files import format as form
from plexstream.model.errors import LogError

NAMES = ("manifest-a", "manifest-b")


class StoredTopic(NamedTuple):
    """What is stored of a topic."""

    id: int
    partitions: int
    config: dict[str, str]
    life: str  # as `Log.topic_id` tells it


class StoredSegment(NamedTuple):
    """What is stored of a segment: enough to notice that anything of it is missing."""

    first: int
    last: int
    generation: int
    length: int
    crc: int  # of its last frame, which covers all before


class StoredPartition(NamedTuple):
    """What is stored of a partition. `appended` and `compact_at` count records, for compaction."""

    topic_id: int
    number: int
    start: int
    end: int
    generation: int
    appended: int
    compact_at: int
    segments: list[StoredSegment]


class Manifest(NamedTuple):
    """What the log is, up to the beginning of the write-ahead log number `wal`."""

    number: int
    wal: int
    topics: dict[str, StoredTopic]
    partitions: list[StoredPartition]
    epochs: dict[str, int]
    positions: list[tuple[str, str, int, int, str]]  # id, topic, partition, position, life

    def encode(self) -> bytes:
        return form.frame(0, form.encode_json({"format": form.FORMAT, "manifest": self}))[0]

    @classmethod
    def decode(cls, path: Path, stored: dict[str, Any]) -> Manifest:
        if stored["format"] != form.FORMAT:
            raise LogError(
                f"{path} has the format {stored['format']!r}, this version reads {form.FORMAT!r}: "
                "use the version that wrote it, or a newer one"
            )
        number, wal, topics, partitions, epochs, positions = stored["manifest"]
        return cls(
            number,
            wal,
            {name: StoredTopic(*topic) for name, topic in topics.items()},
            [
                StoredPartition(*numbers, [StoredSegment(*segment) for segment in segments])  # type: ignore[call-arg]
                for *numbers, segments in partitions
            ],
            epochs,
            [tuple(position) for position in positions],
        )


EMPTY = Manifest(0, 1, {}, [], {}, [])


def write(folder: Path, manifest: Manifest) -> None:
    """Have both copies on disk."""
    data = manifest.encode()
    for name in NAMES:
        disk.replace(folder / name, data)


def read(folder: Path) -> tuple[Manifest | None, list[disk.Damage]]:
    """The newer copy that is whole, and what is wrong with the copies."""
    found: list[Manifest] = []
    wrong: list[disk.Damage] = []
    for name in NAMES:
        path = folder / name
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            wrong.append(disk.Damage(path, 0, "it is missing", "nothing, while the other copy is whole"))
            continue
        whole = form.read_frame(data, 0, 0)
        stored = form.decode_object(whole.body) if whole is not None and whole.end == len(data) else {}
        if "manifest" not in stored:
            what = "its checksum is wrong"
            wrong.append(disk.Damage(path, 0, what, "nothing, while the other copy is whole"))
        else:
            found.append(Manifest.decode(path, stored))
    return max(found, key=lambda manifest: manifest.number, default=None), wrong
