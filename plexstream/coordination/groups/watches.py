"""Who is told of changes in a registry: of one name, or of all that begin alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from plexstream.coordination.common.spread import News, Place, Receiver
from plexstream.sdk.running.collections.maps import StateMap

NAME, PREFIX = "=", "^"
"""What a target begins with: it is one name, or how names begin."""

Key = tuple[str, str, str]  # target, address and handler of who is told
Row = list[int]  # number of the latest news when it came, when it ends in ms (0: never)


class Watched(Protocol):
    """An actor that others watch.

    Attributes:
        watches: ``state_map()``, by target, address and handler.
        prefixes: ``state(default_factory=dict)``, how many watches there are of beginnings of each length.
        watching: ``state(default=0)``, how many there are in all.
        noted: as `Spreading` has it.
    """

    watches: StateMap[Key, Row]
    prefixes: dict[str, int]
    watching: int
    noted: int


class Watches:
    """The watches of an actor. They are looked up by what they watch, however many others there are."""

    def __init__(self, owner: Watched) -> None:
        self._owner = owner

    def get(self, key: Key) -> Row | None:
        """A watch; it may have come to its end."""
        return self._owner.watches.get(key)

    def put(self, key: Key, ends: int, before: Row | None) -> None:
        """Set a watch, where there was that one `before`. It hears of what is noted from now on."""
        owner = self._owner
        if before is None:
            self._count(key[0], 1)
        owner.watches[key] = [owner.noted if before is None else before[0], ends]

    def drop(self, key: Key) -> None:
        """Forget a watch."""
        self._count(key[0], -1)
        del self._owner.watches[key]

    def concern(self, name: str) -> bool:
        """Whether anybody watches a name."""
        return next(self._behind(name, []), None) is not None

    def receivers(self, number: int, news: News, behind: Place, now: int) -> Iterator[Receiver]:
        """Whom to tell of what has become of a name."""
        for key, (since, ends) in self._behind(news[0]["name"], behind):
            told = since < number and not 0 < ends <= now
            yield Receiver(list(key), key[1] if told else "", key[2])

    def _behind(self, name: str, behind: Place) -> Iterator[tuple[Key, Row]]:
        if not self._owner.watching:
            return
        lengths = sorted(int(length) for length in self._owner.prefixes if int(length) <= len(name))
        for target in (NAME + name, *(PREFIX + name[:length] for length in lengths)):  # in order
            if behind and target < behind[0]:
                continue
            start = tuple(behind) if behind and target == behind[0] else (target,)
            for key, row in self._owner.watches.range(start):
                if key[0] != target:
                    break
                if key != start:
                    yield key, row

    def _count(self, target: str, by: int) -> None:
        owner = self._owner
        owner.watching += by
        if target[0] == PREFIX:
            length = str(len(target) - 1)
            number: Any = owner.prefixes.get(length, 0) + by
            if number:
                owner.prefixes[length] = number
            else:
                del owner.prefixes[length]
