"""Looks now and then whether topics have other numbers of partitions than the installation began with."""

from __future__ import annotations

import logging
import threading

from plexstream.log import installation
from plexstream.log.base import Log
from plexstream.model.errors import LogError, TopicMissing
from plexstream.model.process.threads import Lasting
from plexstream.model.topics.topics import Topics

_log = logging.getLogger("plexstream.edge")

LOOK_S = 60.0
"""How often is looked: each time is one request for the metadata of all topics."""


class Growth:
    """Tells, once, when somebody adds partitions while this runs. It asks the log on a thread of its own.

    What runs goes on with the number that it knows, and that is right: an actor's partition is fixed for
    life. But what starts from then on refuses, and better is to know before that.

    Parameters:
        partitions: with how many the installation began.
        name: of the edge, for the thread.

    Attributes:
        why: what whoever starts now would be refused with; empty while nothing is wrong.
    """

    def __init__(self, log: Log, topics: Topics, partitions: int, *, name: str = "") -> None:
        self.why = ""
        self._asks = log, topics
        self._partitions = partitions
        self._halt = threading.Event()
        self.thread = Lasting("growth", self._run, self._halt.is_set, name)
        self.thread.start()

    def look(self) -> None:
        """Look now. Blocks; where the log cannot say, what was found last still counts."""
        log, topics = self._asks
        try:
            there = log.topics()
            others = any(
                there.get(name, self._partitions) != self._partitions for name in installation.names(topics)
            )
            # An operator may have taken note of it, which the record says.
            record = installation.read(log, topics) if others else None
            installation.refuse_others(there, topics, record, self._partitions)
            why = ""
        except TopicMissing as error:
            why = str(error)
        except LogError as error:
            _log.debug("the numbers of partitions are not known: %s", error)
            return
        if why and why != self.why:
            _log.error(
                "what runs goes on with %d partitions, but what starts from now on is refused: %s",
                self._partitions, why,
            )  # fmt: skip
        elif self.why and not why:
            _log.info("the topics' numbers of partitions are accepted")
        self.why = why

    def _run(self) -> None:
        while not self._halt.wait(LOOK_S):
            self.look()

    def close(self) -> None:
        """Look no more. A look that waits for a broker is not waited for."""
        self._halt.set()
