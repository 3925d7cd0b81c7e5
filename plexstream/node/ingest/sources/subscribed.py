"""Which of the subscribed topics there are, with how many partitions, and of which lives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from plexstream.log.base import Log
from plexstream.log.installation import Control
from plexstream.model.errors import LogError
from plexstream.node.ingest.sources.source import There, survey
from plexstream.node.shared.desk import Questions

_log = logging.getLogger("plexstream.node")

LOOK_S = 1.0
"""How often topics that are missing are looked for; those that are there are looked at a fifth as often, for
partitions that were added, and for another life."""
_SURVEY = -1  # the desk's number for what is asked of all topics together


class Subscribed:
    """Asks the log for the topics, now and then.

    Attributes:
        there: what is known of those that there are.
    """

    def __init__(
        self, log: Log, control: Control, topics: Iterable[str], desk: Questions, clock: Callable[[], float]
    ) -> None:
        self._log = log
        self._control = control
        self._topics = list(topics)
        self._desk = desk
        self._clock = clock
        self.there: dict[str, There] = {}
        self._missing: set[str] = set(self._topics)
        self._told_missing: set[str] = set()
        self._looked = float("-inf")
        self._looking = False

    def forget(self) -> None:
        """All is asked again."""
        self.there = {}
        self.soon()

    def soon(self) -> None:
        """Something is not as it was known: look at the next chance."""
        self._looked = float("-inf")

    @property
    def complete(self) -> bool:
        """Whether all of them are there."""
        return self.there.keys() == set(self._topics)

    def look(self) -> None:
        """Ask, if it is time."""
        now = self._clock()
        if self._looking or now - self._looked < LOOK_S * (1 if self._missing else 5):
            return
        self._looked, self._looking = now, True
        question = partial(survey, self._log, self._control, self._topics)
        self._desk.ask(self, _SURVEY, question, self._surveyed)

    def _surveyed(self, found: dict[str, There | LogError] | LogError) -> None:
        self._looking = False
        if isinstance(found, LogError):
            _log.warning("the subscribed topics are not known: %s", found)
            return
        self._missing = set()
        for topic in self._topics:
            there = found.get(topic)
            if isinstance(there, LogError):
                _log.warning("the subscribed topic %r is not known: %s", topic, there)
            elif there is None:
                self._missing.add(topic)
                self.there.pop(topic, None)
                if topic not in self._told_missing:
                    self._told_missing.add(topic)
                    _log.warning("ingest waits for the topic %r, which does not exist yet", topic)
            else:
                self._told_missing.discard(topic)
                self._tell(topic, there)
                self.there[topic] = there

    def _tell(self, topic: str, there: There) -> None:
        before = self.there.get(topic)
        if there.former:
            _log.warning(
                "topic %s was deleted and made again (%s, now %s): its records count as new",
                topic, there.former, there.life,
            )  # fmt: skip
        elif before is not None and before.partitions < there.partitions:
            more = there.partitions - before.partitions
            _log.info("topic %s has %d partitions more: they are read", topic, more)
