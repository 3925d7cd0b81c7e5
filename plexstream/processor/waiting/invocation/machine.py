"""The lifecycle of a handler that waits: its states, what happens to it, and what becomes of it then.

This table is the specification. `move` is the only way from one state to another, so what the table does not
have cannot be; `docs/durable-execution.md` shows it, and a test compares the two. What a row writes is noted
in the journal with the transition, and is all that is needed to find the state again (`Invocation.note`).

A message begins as a plain turn, which is no matter of this table. It becomes an *invocation* when its
handler waits (`begins`), when it is to be tried again while others go on or for long (`fails`), or when it
waits for a busy actor for so long that it is copied into the journal (`is parked`). From then on:

- **parked**: its message is in the journal. It has not begun, and goes through the same door as any message
  once its actor is free.
- **ready**: it goes on, or begins, as soon as it can: not in memory, and something has come for it.
- **running**: it is in memory, at what it has asked for.
- **asleep**: it is not in memory, and nothing has come for it.
- **retrying**: an attempt has failed, and the next one is due later.
- **paused**: it does not go on, whatever comes.
- **stuck**: its code does not fit what is recorded of it, or its actor cannot be loaded.
- **ended**: nothing is left of it but its result.

What comes for a handler that is not in memory is *noted*: on the log, and fed to it when it runs again. What
is noted is thus never lost, and a handler that has its answer is `ready`, after any number of crashes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol


class State(StrEnum):
    """Where a handler that waits is in its life."""

    NEW = "new"  # no record yet
    PARKED = "parked"
    READY = "ready"
    RUNNING = "running"
    ASLEEP = "asleep"
    RETRYING = "retrying"
    PAUSED = "paused"
    STUCK = "stuck"
    ENDED = "ended"


class Event(StrEnum):
    """What happens to it."""

    BEGIN = "begins"  # its handler has come to its first wait
    PARK = "is parked"  # its actor has been busy for long
    FOLLOW = "follows a run"  # that has gone on as new
    FREE = "actor free"  # its turn has come
    RUN = "runs again"  # from its start to where it was, or for the first time
    COME = "answer"  # what it waits for has come: a reply, an effect's result, a value, time
    CANCEL = "cancel"
    FAIL = "fails"  # and is to be tried again
    TIME = "time"  # of its next attempt
    PAUSE = "pause"
    RESUME = "resume"
    RESTART = "restart"  # from a step
    MISFIT = "misfit"  # its code asks for something else than is recorded
    ABSENT = "not loadable"  # its actor, for now
    DROP = "leaves memory"  # for others, or with its process
    CONTINUE = "goes on as new"
    END = "ends"  # with a result or an error
    KILL = "kill"  # from outside, or with the actor's life


class Row(NamedTuple):
    """One transition. `writes`: what the journal has of it; empty: nothing."""

    states: tuple[State, ...]
    event: Event
    then: State
    writes: str = ""
    when: str = ""


_NEW, _PARKED, _READY, _RUNNING, _ASLEEP, _RETRYING, _PAUSED, _STUCK, _ENDED = State
_LIVE = (_PARKED, _READY, _RUNNING, _ASLEEP, _RETRYING, _PAUSED, _STUCK)
HOLDS, WAITS = "it has its actor", "it has not"
"""Whether an invocation's turn has come: it holds its actor, or needs none for itself."""
SAME = "the same call is under way"

TABLE = (
    Row((_NEW,), Event.BEGIN, _RUNNING, "its message, what it asked for, changed and sent"),
    Row((_NEW,), Event.PARK, _PARKED, "its message"),
    Row((_NEW,), Event.FAIL, _RETRYING, "its message, the attempt"),
    Row((_NEW,), Event.END, _ENDED, "its message, the result"),
    Row((_NEW,), Event.FOLLOW, _READY, "with the end of the run before: its arguments"),
    Row((_PARKED,), Event.FREE, _READY),
    Row((_READY,), Event.PARK, _PARKED, when=SAME),
    Row((_PAUSED,), Event.FREE, _PAUSED),
    Row((_READY,), Event.RUN, _RUNNING, "what it went on with, if it did"),
    Row((_RUNNING,), Event.COME, _RUNNING, "the answer, and what it went on with"),
    Row((_ASLEEP, _READY), Event.COME, _READY, "the answer, noted"),
    Row((_PARKED,), Event.COME, _PARKED, "the answer, noted"),
    Row((_RETRYING,), Event.COME, _RETRYING, "the answer, noted"),
    Row((_PAUSED,), Event.COME, _PAUSED, "the answer, noted"),
    Row((_STUCK,), Event.COME, _STUCK, "the answer, noted"),
    Row((_RUNNING,), Event.CANCEL, _RUNNING, "the cancel, and what it went on with"),
    Row((_ASLEEP, _READY, _RETRYING), Event.CANCEL, _READY, "the cancel, noted"),
    Row((_PAUSED,), Event.CANCEL, _PAUSED, "the cancel, noted"),
    Row((_READY, _RUNNING), Event.FAIL, _RETRYING, "the attempt"),
    Row((_RETRYING, _STUCK, _ASLEEP), Event.TIME, _READY),
    Row((_READY, _RUNNING, _ASLEEP, _RETRYING, _STUCK, _PAUSED), Event.PAUSE, _PAUSED, "the pause"),
    Row((_PARKED,), Event.PAUSE, _PAUSED, "the pause"),
    Row((_RUNNING,), Event.RESUME, _RUNNING, "the resume"),
    Row((_READY, _ASLEEP, _RETRYING, _STUCK), Event.RESUME, _READY, "the resume"),
    Row((_PAUSED,), Event.RESUME, _READY, "the resume", HOLDS),
    Row((_PAUSED,), Event.RESUME, _PARKED, "the resume", WAITS),
    Row((_PARKED,), Event.RESUME, _PARKED, "the resume"),
    Row((_READY, _RUNNING, _ASLEEP, _RETRYING, _PAUSED, _STUCK), Event.RESTART, _READY, "the restart", HOLDS),
    Row((_PARKED, _PAUSED), Event.RESTART, _PARKED, "the restart", WAITS),
    Row((_READY, _RUNNING), Event.MISFIT, _STUCK, "what differs"),
    Row((_READY,), Event.ABSENT, _STUCK),
    Row((_RUNNING,), Event.DROP, _ASLEEP),
    Row((_READY, _RUNNING), Event.CONTINUE, _ENDED, "the end, and the next run's arguments: it is ready"),
    Row((_READY, _RUNNING, _STUCK, _RETRYING, _PARKED), Event.END, _ENDED, "the result"),
    Row(_LIVE, Event.KILL, _ENDED, "killed"),
)  # fmt: skip

_BY_KEY = {
    (state, row.event, row.when): row.then for row in TABLE for state in row.states
}  # fmt: skip


class ImpossibleTransition(AssertionError):
    """A transition that the table does not have: a fault of the processor."""


class Moved(Protocol):
    """What has a state: an invocation."""

    state: State

    def reference(self) -> str: ...


def move(inv: Moved, event: Event, when: str = "") -> State:
    """Let something happen to an invocation; returns its state from now on."""
    then = _BY_KEY.get((inv.state, event, "")) or _BY_KEY.get((inv.state, event, when))
    if then is None:
        what = f"{inv.reference()} is {inv.state}, for which the table has no {event.value!r} {when}"
        raise ImpossibleTransition(what)
    inv.state = then
    return then
