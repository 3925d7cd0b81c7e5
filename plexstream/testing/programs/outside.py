"""What is outside of plexstream: side effects happen here, and none of it is ever taken back."""

from __future__ import annotations

from collections import Counter

from plexstream.sdk.errors import Reject


class Outside:
    """The world as the effects and handlers of one program find it, whatever becomes of their process.

    Attributes:
        results: what each effect has returned, by its key, once for each time that it ran well.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Nothing has happened yet."""
        self._tries: Counter[str] = Counter()
        self.results: dict[str, list[str]] = {}

    def fails(self, key: str, times: int) -> bool:
        """Whether something still fails: it does so the first few times."""
        self._tries[key] += 1
        return self._tries[key] <= times

    def effect(self, key: str, fails: int, refuse: bool = False) -> str:
        """A side effect: no two runs of it have the same result."""
        if refuse:
            raise Reject("never")
        if self.fails(key, fails):
            raise OSError("not yet")
        found = self.results.setdefault(key, [])
        found.append(f"{key} {len(found)}")
        return found[-1]


outside = Outside()
