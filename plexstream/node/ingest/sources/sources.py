"""The source partitions of this worker's share, each from the question where it begins to being read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from plexstream.log.base import Log, Place, Reader
from plexstream.log.installation import Control
from plexstream.model.errors import LogError, Shortened
from plexstream.node.ingest.sources.belief import Belief, Told
from plexstream.node.ingest.sources.source import Begun, Refused, Source, Stage, There, begin, refuse
from plexstream.node.ingest.sources.subscribed import Subscribed

T = TypeVar("T")

_log = logging.getLogger("plexstream.node")

RETRY_S = 1.0
REFUSED_S = 5.0
"""How soon an operator's word about a refused source is heeded."""


class Ask(Protocol):
    """Has a question about a place asked beside this thread."""

    def __call__(
        self, place: Place, ask: Callable[[], T], then: Callable[[T | LogError], None], /
    ) -> None: ...


class Sources:
    """What is read, of which life, and from where on.

    Attributes:
        by_place: all of them.
    """

    def __init__(
        self, log: Log, control: Control, subscribed: Subscribed, ask: Ask, clock: Callable[[], float]
    ) -> None:
        self._log = log
        self._control = control
        self._subscribed = subscribed
        self._ask = ask
        self._clock = clock
        self.by_place: dict[Place, Source] = {}

    def forget(self) -> None:
        """Where they are is asked again."""
        self.by_place = {}
        self._subscribed.forget()

    def idle(self) -> bool:
        """Whether all that there is of them is in mailboxes, as far as is known."""
        return self._subscribed.complete and all(
            s.stage is Stage.READING and not s.outstanding and s.done == self._log.range(place)[1]
            for place, s in self.by_place.items()
        )

    def follow(self, reader: Reader, share: Callable[[int], bool]) -> None:
        """Begin and end with sources as the topics have it, of the partitions in this `share`."""
        wanted = _wanted(self._subscribed.there, share)
        for place, source in list(self.by_place.items()):
            if wanted.get(place) != source.life:
                reader.release(place)
                del self.by_place[place]
        now = self._clock()
        for place, life in wanted.items():
            source = self.by_place.get(place) or self._new(place, life, now)
            if source.until > now or source.stage in (Stage.READING, Stage.ASKING):
                continue
            if source.stage is Stage.WAITING:
                self._assign(reader, source)
            else:
                self._begin(source)

    def _new(self, place: Place, life: str, now: float) -> Source:
        def ask(told: Told) -> None:
            self._ask(place, lambda: self._log.topic_id(place[0]), told)

        source = self.by_place[place] = Source(place, life, Belief(life, ask, self._clock), now)
        return source

    def _begin(self, source: Source) -> None:
        source.stage = Stage.ASKING
        question = partial(begin, self._log, self._control, source.place, source.life)
        self._ask(source.place, question, partial(self._begun, source))

    def _begun(self, source: Source, found: Begun | Refused | LogError) -> None:
        if self.by_place.get(source.place) is not source:
            return
        if isinstance(found, Begun):
            source.begin(found)
            source.stage, source.until = Stage.WAITING, 0.0
            return
        source.stage = Stage.NEW
        if isinstance(found, Refused):
            source.until = self._clock() + REFUSED_S
            if not source.told:
                source.told = True
                _log.error("%s", found.why)
        else:
            source.until = self._clock() + RETRY_S
            self._subscribed.soon()  # it may be another life
            _log.warning("%s[%d] waits to be read: %s", *source.place, found)

    def _assign(self, reader: Reader, source: Source) -> None:
        try:
            reader.assign(source.place, source.done)
        except LogError as error:
            self.put_off(reader, source, str(error))
            return
        source.stage = Stage.READING

    def put_off(self, reader: Reader, source: Source, why: str) -> None:
        """Begin again with a source in a while, where all before has arrived."""
        _log.warning("%s[%d] is read again from offset %d on: %s", *source.place, source.done, why)
        reader.release(source.place)
        source.drop()
        source.stage, source.until = Stage.WAITING, self._clock() + RETRY_S

    def of_another_life(self, source: Source) -> None:
        """Its topic is another one: begin anew with that."""
        source.drop()
        source.stage, source.until = Stage.NEW, self._clock() + RETRY_S
        self._subscribed.soon()

    def shortened(self, error: Shortened) -> None:
        """One has fewer records than it had: it is refused until an operator accepts that."""
        place = error.topic, error.partition
        source = self.by_place.get(place)
        if source is None:
            return
        source.drop()
        source.stage = Stage.ASKING
        question = partial(refuse, self._log, self._control, place, source.life, error.position, error.end)
        self._ask(place, question, partial(self._begun, source))


def _wanted(there: Mapping[str, There], share: Callable[[int], bool]) -> dict[Place, str]:
    """The life of each source partition that is to be read."""
    return {
        (topic, number): found.life
        for topic, found in there.items()
        for number in range(found.partitions)
        if share(number)
    }
