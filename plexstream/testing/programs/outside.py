"""What is outside of plexstream: side effects happen here, and none of it is ever taken back."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from plexstream.sdk.errors import Reject


class Outside:
    """The world as the effects and handlers of one program find it, whatever becomes of their process.

    Attributes:
        results: what each effect has returned, by its key, once for each time that it ran well.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self, file: Path | None = None) -> None:
        """What has happened is what `file` says, which outlives a process; without one, nothing has yet."""
        self._file = file
        self._tries: Counter[str] = Counter()
        self.results: dict[str, list[str]] = {}
        for line in file.read_text().splitlines() if file is not None and file.exists() else ():
            what, _, key = line.partition(" ")
            if what == "tried":
                self._tries[key] += 1
            else:
                self._result(key)

    def fails(self, key: str, times: int) -> bool:
        """Whether something still fails: it does so the first few times."""
        with self._lock:
            self._keep("tried", key)
            self._tries[key] += 1
            return self._tries[key] <= times

    def effect(self, key: str, fails: int, refuse: bool = False) -> str:
        """A side effect: no two runs of it have the same result."""
        if refuse:
            raise Reject("never")
        if self.fails(key, fails):
            raise OSError("not yet")
        with self._lock:
            self._keep("result", key)
            return self._result(key)

    def _result(self, key: str) -> str:
        found = self.results.setdefault(key, [])
        found.append(f"{key} {len(found)}")
        return found[-1]

    def _keep(self, what: str, key: str) -> None:
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(f"{what} {key}\n")


outside = Outside()
