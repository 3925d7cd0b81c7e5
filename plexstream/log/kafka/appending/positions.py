"""What the coordinator of a group says of its offsets, and whether that is all that was committed.

Which broker coordinates a group, any broker is believed. One that is cut off from its peers takes itself for
it as long as clients reach it, and gives the offsets as they once were, without an error. So its answer has
to show what was committed just before: a token, with the group's offset for a place that is there for this,
the witness. All offsets of a group stand in one partition, in the order of their commits, and a commit is
none before other brokers have it, too: who shows the token knows whatever was committed before.
"""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from plexstream.log.base import Place
from plexstream.log.kafka.brokers.cluster import Cluster
from plexstream.log.kafka.brokers.views import COORDINATORS
from plexstream.log.kafka.common.errors import log_error, passes
from plexstream.log.kafka.common.outage import Outage
from plexstream.log.kafka.common.settings import READER, client_settings, connect
from plexstream.model.errors import LogError
from plexstream.model.process.threads import passing

END_S = 1.0
"""How long the witness's end is waited for, which is for people."""
ATTEMPT_S = 4.0
FIRST_PAUSE_S, LAST_PAUSE_S = 0.005, 0.1
"""A question that may be repeated is, within its time limit."""

Stored = tuple[int, str]
"""A position, and the life of its topic."""


class Positions:
    """The offsets of group `id`. Belongs to one thread; its calls block.

    Parameters:
        witness: where tokens are committed; None: nothing can be asked.
        outage: told of connections that fail.
    """

    def __init__(self, log: Cluster, id: str, witness: Place | None, outage: Outage) -> None:
        self._log = log
        self._id = id
        self._witness = witness
        self._outage = outage
        self._group = connect_group(log, id, log.views.sound, outage)

    @property
    def metadata(self) -> Any:
        """The group, as a producer wants it that commits offsets of it."""
        return self._group.consumer_group_metadata()

    def witness_of(self, place: Place) -> Place:
        """The witness for a question about `place`.

        Raises:
            ValueError: there is none, or it is no other place.
        """
        if self._witness is None:
            raise ValueError(
                f"the position of {self._id!r} in {place[0]}[{place[1]}] cannot be proven: open the "
                "transaction with a witness, a place of another topic that is there and may be read"
            )
        if self._witness == place:
            raise ValueError(f"{place[0]}[{place[1]}] is the witness of {self._id!r}: it has no position")
        return self._witness

    def mark(self, witness: Place, token: str) -> TopicPartition:
        """The offset that shows a token: the end of the witness, so that the group lags behind nothing."""
        try:
            end = self._log.ends([witness], END_S)[witness]
        except LogError:
            end = 0
        return TopicPartition(*witness, end, token)

    def ask(self, place: Place, token: str, deadline: float) -> tuple[bool, Stored | None]:
        """Whether who answers has shown the token, and the offset for `place`.

        Parameters:
            deadline: by the monotonic clock, in seconds.

        Raises:
            LogUnavailable: there was no answer in time.
            LogError: whatever else is the answer.
        """
        asked = [TopicPartition(*self.witness_of(place)), TopicPartition(*place)]
        pause = FIRST_PAUSE_S
        while True:
            try:
                # In one question, so that one broker answers both.
                shown, found = self._group.committed(asked, ATTEMPT_S)
                error = shown.error or found.error
            except KafkaException as failed:
                error = failed.args[0]
            if error is None:
                stored = (found.offset, found.metadata or "") if found.offset >= 0 else None
                return shown.metadata == token, stored
            # Such as UNSTABLE_OFFSET_COMMIT, until the marker of what was just committed is written; or
            # NOT_COORDINATOR: librdkafka looks for the new one meanwhile, and does not ask it.
            if not passes(error) or time.monotonic() >= deadline:
                doing = f"reading the position of {self._id!r} in {place[0]}[{place[1]}]"
                raise log_error(error, self._log.bootstrap, doing)
            time.sleep(pause)
            pause = min(2 * pause, LAST_PAUSE_S)

    def renew(self) -> None:
        """Look which brokers most others agree with, and go on with what these say of the coordinator."""
        self._log.views.doubtful(self._group, COORDINATORS)
        self.close()
        self._group = connect_group(self._log, self._id, self._log.views.sound, self._outage)

    def close(self) -> None:
        try:
            passing("transaction", self._group.close)  # it may wait for a broker
        except RuntimeError:  # there is no thread to be had
            self._group.close()


def connect_group(log: Cluster, id: str, bootstrap: str, outage: Outage) -> Consumer:
    """A consumer that stands for group `id`, and never subscribes."""
    own = READER | {
        "group.id": id,
        # The coordinator says so, then, while a transaction with offsets of the group is under way.
        "isolation.level": "read_committed",
        # That it says so each time, right after the token was committed: 100 by default.
        "retry.backoff.ms": 1,
    }
    return connect(Consumer, client_settings(bootstrap, own, log.settings, "consumer", outage.error))
