"""Keys and values as they ought to be: versions that rise with every change, ends to the millisecond."""

from __future__ import annotations

from typing import Any, NamedTuple

from plexstream.testing.simulation.checks.model.coordinated.handled import Handled, Line, claim_that, ms
from plexstream.testing.simulation.errors import Violation


class Row(NamedTuple):
    """What a key has; `ends`: in ms since the epoch, 0: never."""

    value: Any
    version: int
    ends: int = 0


class KeyValue:
    """One shard.

    Attributes:
        seen: by key, all that a read of it could ever tell, without times.
    """

    def __init__(self) -> None:
        self.line = Line()
        self._rows: dict[str, Row] = {}
        self._version = 0
        self.seen: dict[str, list[list[Any]]] = {}

    def take(self, h: Handled) -> None:
        """A turn. Raises Violation."""
        if h.handler == "__alarm__":
            return
        expected = self._run(h)
        for answer in h.answers:
            claim_that(not answer.failed and answer.call == h.call, f"{answer}: nobody waits for that")
            claim_that(answer.value == expected, f"it answers {answer.value}, expected {expected}")

    def refused(self, h: Handled) -> None:
        """A turn that was rejected. Raises Violation: it should not be."""
        if h.handler == "increment":
            row = self._row(h.of("key"), h.now)
            claim_that(row.version and type(row.value) is not int, f"{h.arguments} is refused")
        else:
            ttl = h.of("ttl")
            claim_that(ttl is not None and ttl <= 0, f"{h.handler} {h.arguments} is refused")

    def saw(self, h: Handled, rows: list[Any]) -> bool:
        """Whether a read could ever tell this."""
        return all(
            row is None or row[:2] in self.seen.get(key, ())
            for key, row in zip(h.of("keys"), rows, strict=True)
        )

    def _run(self, h: Handled) -> Any:
        now, key = h.now, h.of("key")
        ends = 0 if h.of("ttl") is None else now + ms(h.of("ttl"))
        if h.handler == "put":
            return [self._set(key, value, ends) for key, value in h.of("entries").items()]
        if h.handler == "cas":
            row = self._row(key, now)
            if row.version != h.of("version"):
                return [False, row.version]
            return [True, self._set(key, h.of("value"), ends)]
        if h.handler == "increment":
            row = self._row(key, now)
            total = (row.value if row.version else 0) + h.of("by", 1)
            self._set(key, total, row.ends)
            return total
        if h.handler == "delete":
            there = [key for key in h.of("keys") if self._row(key, now).version]
            for key in there:
                del self._rows[key]
            return len(there)
        raise Violation(f"{h.handler} is no handler that changes something")

    def _row(self, key: str, now: int) -> Row:
        row = self._rows.get(key, Row(None, 0))
        return Row(None, 0) if 0 < row.ends <= now else row

    def _set(self, key: str, value: Any, ends: int) -> int:
        self._version += 1
        self._rows[key] = Row(value, self._version, ends)
        self.seen.setdefault(key, []).append([value, self._version])
        return self._version
