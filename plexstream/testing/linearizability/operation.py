"""A call and what came of it, and who notes them while they happen."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

NEVER = math.inf
"""When a call returned that did not."""


class Unknown:
    """The answer of a call that never returned: it took effect at some time, or does so later, or never."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


class Operation(NamedTuple):
    """One call of one object.

    Attributes:
        client: who called, for people.
        name: what was called.
        arguments, answer: whatever the object's model takes; UNKNOWN is the answer of what never returned.
        called, returned: moments of one clock, of any unit: one call came before another if it returned
            before that was called.
    """

    client: str
    name: str
    arguments: Any
    answer: Any
    called: float
    returned: float = NEVER

    def __str__(self) -> str:
        return f"{self.client}: {self.name} {self.arguments!r} -> {self.answer!r}"


class Open:
    """A call that is under way. It stays one whose answer is unknown, unless something is heard of it."""

    def __init__(self, client: str, name: str, arguments: Any, called: int) -> None:
        self.client = client
        self.name = name
        self.arguments = arguments
        self.called = called
        self.returned: float = NEVER
        self.answer: Any = UNKNOWN
        self.without_effect = False


class Recorder:
    """Notes calls as they happen, from any number of threads: its clock counts what it is told."""

    def __init__(self) -> None:
        self._clock = itertools.count()
        self._calls: dict[str, list[Open]] = {}

    def call(self, obj: str, client: str, name: str, arguments: Any) -> Open:
        """Somebody is about to call `name` of an object."""
        found = Open(client, name, arguments, next(self._clock))
        self._calls.setdefault(obj, []).append(found)
        return found

    def returned(self, call: Open, answer: Any) -> None:
        """The caller has its answer."""
        call.answer, call.returned = answer, next(self._clock)

    @staticmethod
    def refused(call: Open) -> None:
        """The caller knows that it had no effect."""
        call.without_effect = True

    def histories(self) -> Mapping[str, list[Operation]]:
        """What was noted so far, by object."""
        return {
            obj: [
                Operation(c.client, c.name, c.arguments, c.answer, c.called, c.returned)
                for c in calls if not c.without_effect
            ]
            for obj, calls in self._calls.items()
        }  # fmt: skip


def text(value: Any) -> str:
    """A JSON value as a text that can be a state: two are equal where value and type are."""
    return json.dumps(value, sort_keys=True)
