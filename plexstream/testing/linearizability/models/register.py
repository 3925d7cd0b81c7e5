"""A register with compare-and-swap: one key, whose versions rise and belong to many keys together."""

from __future__ import annotations

from typing import Any, NamedTuple

from plexstream.testing.linearizability.operation import UNKNOWN, Operation


class Held(NamedTuple):
    """What a register holds.

    Attributes:
        value: as text; None: nothing.
        version: 0: there is no value; None: nobody has heard it yet, it is above `least`.
        least: the highest version that was heard.
    """

    value: str | None
    version: int | None
    least: int


class Register:
    """Takes ``read``, answered None or (value, version); ``write`` value, answered version; ``cas`` (value,
    version), answered (whether, version); ``delete``, answered whether it was there; ``increment`` by,
    answered the sum."""

    def start(self) -> Held:
        """Nothing."""
        return Held(None, 0, 0)

    def step(self, state: Held, op: Operation) -> list[Held]:
        """See `Model`."""
        found: list[Held] = getattr(self, f"_{op.name}")(state, op.arguments, op.answer)
        return found

    def _read(self, s: Held, _: Any, answer: Any) -> list[Held]:
        if answer is UNKNOWN:
            return []
        if answer is None:
            return [s] if s.value is None else []
        value, version = answer
        return _seen(s, version) if s.value == value else []

    def _write(self, s: Held, value: str, answer: Any) -> list[Held]:
        if answer is UNKNOWN:
            return [Held(value, None, s.least)]
        return [Held(value, answer, answer)] if answer > s.least else []

    def _cas(self, s: Held, arguments: tuple[str, int], answer: Any) -> list[Held]:
        value, version = arguments
        if answer is UNKNOWN:
            return self._changed(s, value, version)
        done, now = answer
        if done:
            return [Held(value, now, now) for held in self._changed(s, value, version) if now > held.least]
        return [] if now == version else _seen(s, now)

    @staticmethod
    def _changed(s: Held, value: str, version: int) -> list[Held]:
        return [Held(value, None, held.least) for held in _seen(s, version)]

    def _delete(self, s: Held, _: Any, answer: Any) -> list[Held]:
        there = s.value is not None
        return [Held(None, 0, s.least)] if answer is UNKNOWN or answer == there else []

    def _increment(self, s: Held, by: int, answer: Any) -> list[Held]:
        total = int(s.value or 0) + by
        return [Held(str(total), None, s.least)] if answer is UNKNOWN or answer == total else []


def _seen(s: Held, version: int) -> list[Held]:
    """The state, where somebody hears that this is its version; nothing if it cannot be."""
    if s.version is None:
        return [Held(s.value, version, version)] if version > s.least else []
    return [s] if version == s.version else []
