"""What must be true of handlers that wait, told from the journal, the log and the world outside alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from plexstream.model.journal.attempt import decode_attempt
from plexstream.model.journal.journal import (
    DONE,
    WAITING,
    Begin,
    Command,
    CommandKind,
    Completion,
    Control,
    OutKind,
    Step,
    Turn,
)
from plexstream.model.messages.idempotency import CONFLICT
from plexstream.model.messages.message import ASK, ERROR, REPLY, Envelope
from plexstream.testing.simulation.cast.waiting import Script, world
from plexstream.testing.simulation.errors import Violation

_PLAYERS = ("work", "toil", "beside")
_FROM_OUTSIDE = ("killed", "poisoned")
"""Codes of ends that no script says; crashes in a row may be blamed on any handler."""
_NEVER = 1 << 60
ANY = ["any"]
Pending = dict[tuple[str, int], int]
"""How many steps each invocation has, by address and number."""


class Told:
    """One invocation as its steps tell it."""

    def __init__(self, begin: Begin | None = None) -> None:
        self.begin = begin
        self.steps = 0
        self.commands: dict[int, Command] = {}
        self.order: dict[int, int] = {}  # of completions: which came first
        self.values: dict[int, Any] = {}  # ["ok", value] or ["no", code]
        self.retries: dict[int, int] = {}  # of commands that have failed, -1 for all of it: when to try again
        self.cancelled = self.paused = self.parked = False

    def holds(self) -> bool:
        """Whether it keeps its actor from others."""
        return not self.parked and self.begin is not None and self.begin.handler != "beside"

    def value(self, number: int) -> Any:
        return self.values[number]

    def came(self, number: int) -> int:
        """When a command was done: its place among all; very late if it never was."""
        return self.order.get(number, _NEVER)


class Twin:
    """Plays a script once more, with what the journal has of it.

    Attributes:
        got: what each step came to, up to the first that is not done.
        open: the commands of that one; nothing if it has come to an end.
        ends: how it may end there, as codes; "" is well.
    """

    def __init__(self, told: Told, script: Script) -> None:
        self._told = told
        self._count = 0
        self.got: list[Any] = []
        self.open: list[int] = []
        self.ends: set[str] = set()
        self._play(script)

    def _play(self, script: Script) -> None:
        for step in script:
            kind = step[0]
            if kind == "fail":
                self.ends.add("failed")
                if step[1] >= 99:
                    return
            elif kind == "refuse":
                self.ends.add("rejected")
                return
            elif kind != "tell":
                first = self._count
                found = self._step(step)
                if found is None:
                    self.open = list(range(first, self._count))
                    return
                self.got.append(found)
        self.ends.add("")

    def _next(self) -> int:
        self._count += 1
        return self._count - 1

    def _step(self, step: list[Any]) -> Any:
        kind, told = step[0], self._told
        if kind in ("awakeable", "promise"):
            number, timer = self._next(), self._next()
            if kind == "promise" and number not in told.commands:
                return ANY  # it was there, and its handler ended without another record
            return self._first([number], timer)
        if kind in ("all", "any", "race", "select"):
            numbers = [self._next() for _ in step[2]]
            timer = self._next() if step[1] is not None else -100
            return getattr(self, f"_{kind}")(numbers, timer)
        number = self._next()
        if kind == "sleep":
            return told.values.get(number)
        timer = self._next() if kind == "ask" and step[4] is not None else -100
        return self._first([number], timer)

    def _limited(self, at: int, timer: int, found: Any) -> Any:
        # A patience that was taken back with all that its handler waits for is not over.
        taken_back = self._told.values.get(timer) == ["no", "cancelled"]
        late = _NEVER if taken_back else self._told.came(timer)
        if at == late:
            return None
        return found() if at < late else ["no", "timed_out"]

    def _first(self, numbers: list[int], timer: int) -> Any:
        number = min(numbers, key=self._told.came)
        return self._limited(self._told.came(number), timer, lambda: self._told.value(number))

    _race = _first

    def _select(self, numbers: list[int], timer: int) -> Any:
        number = min(numbers, key=self._told.came)
        found = self._first(numbers, timer)
        if found is None or found[0] == "no":
            return found
        return ["ok", [f"h{numbers.index(number)}", found[1]]]

    def _all(self, numbers: list[int], timer: int) -> Any:
        told = self._told
        failed = [n for n in numbers if told.values.get(n, ["ok"])[0] == "no"]
        if failed:
            return self._first(failed, timer)
        at = max(told.came(n) for n in numbers)
        return self._limited(at, timer, lambda: ["ok", [told.value(n)[1] for n in numbers]])

    def _any(self, numbers: list[int], timer: int) -> Any:
        told = self._told
        good = [n for n in numbers if told.values.get(n, ["no"])[0] == "ok"]
        if good:
            return self._first(good, timer)
        last = max(numbers, key=told.came)
        return self._limited(told.came(last), timer, lambda: told.value(last))


class Waits:
    """Reads the turns and steps of one partition's waiting actors, in the order of the journal.

    Attributes:
        ended: the invocations of each call, as they ought to have gone.
        parked, cancelled: how many invocations were.
        beside: how many ended that had run beside others.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], Told] = {}
        self._promises: set[tuple[str, str]] = set()
        self._n: dict[str, int] = {}
        self.ended: dict[str, list[Twin]] = {}
        self.unwanted: set[str] = set()  # asks whose handlers were cancelled
        self.given_up: set[str] = set()  # asks that were cancelled, though nobody has cancelled them
        self.parked = self.cancelled = self.beside = 0

    def pending(self) -> Pending:
        """The invocations that have not ended, by address and number."""
        return {key: told.steps for key, told in self._told.items()}

    def holds(self, address: str) -> bool:
        """Whether a handler that has begun keeps an actor from others."""
        return any(a == address and told.holds() for (a, _), told in self._told.items())

    def late(self, now: int, answered: set[str]) -> Iterator[str]:
        """Handlers that could have gone on, where all is quiet at `now` and asks `answered` have come."""
        for (address, number), told in self._told.items():
            name = f"{address}#{number} {told.begin.handler if told.begin else ''}"
            if told.paused:
                continue
            if told.parked:
                if not self.holds(address):
                    yield f"{name}: parked, and its actor is free"
                continue
            if told.cancelled:
                yield f"{name}: cancelled"
            assert told.begin is not None
            twin = Twin(told, json.loads(told.begin.payload).get("script", []))
            if not twin.open or not told.commands.keys() >= set(twin.open):
                yield f"{name}: all that it waits for has come, {twin.got}"
            for at in twin.open:
                command = told.commands.get(at)
                if command is not None and at not in told.values:
                    yield from self._may(command, told, now, answered, f"{address}#{number}.{at}")

    def _may(self, asked: Command, told: Told, now: int, answered: set[str], name: str) -> Iterator[str]:
        if asked.kind == CommandKind.SLEEP and asked.due < now:
            yield f"{name}: its sleep is over since {now - asked.due} ms"
        elif asked.kind == CommandKind.ASK and name in answered:
            yield f"{name}: {asked.name} has answered"
        elif asked.kind == CommandKind.RUN and told.retries.get(asked.number, 0) < now:
            yield f"{name}: its effect has not run"
        elif asked.kind == CommandKind.PROMISE and (name.partition("#")[0], asked.name) in self._promises:
            yield f"{name}: the promise {asked.name} is settled"

    def take(self, t: Turn | Step, e: Envelope | None) -> None:
        """A turn or step that counts; `e` is its message, if it has one."""
        self._state(t)
        self._promises |= {(t.actor, c.key) for c in t.patch if c.field == "@promise" and c.key}
        self.unwanted |= {json.loads(o.payload).get("ask") for o in t.outs if o.handler == "$cancel"}
        if type(t) is Step:
            self._step(t, e)
            return
        assert type(t) is Turn
        if t.cause_topic == "timer":
            poisoned = any(out.key == "poisoned" for out in t.outs)
            _claim_that(poisoned, f"the timer {t.message_id} of a sleep has outlived its handler")
        elif e is not None and e.kind <= ASK:
            self._turn(t, e)

    def _turn(self, t: Turn, e: Envelope) -> None:
        if t.handler not in _PLAYERS or t.status != DONE or not t.patch:
            return
        # It has not waited at all.
        self._result(t.outs, Twin(Told(), json.loads(e.payload)["script"]), e.kind == ASK)

    def _state(self, t: Turn | Step) -> None:
        """Handlers have their actor for themselves: each finds what the one before has left."""
        changed = [json.loads(c.value or b"0") for c in t.patch if c.field == "n" and c.key is None]
        _claim_that(not changed or t.status == DONE, f"a handler that has not ended changes {t.patch}")
        if changed:
            n = self._n.get(t.actor, 0) + 1
            _claim_that(changed == [n], f"an update is lost: n is {changed}, expected {n}")
            self._n[t.actor] = n

    def n(self, address: str) -> int:
        """How many messages an actor has finished."""
        return self._n.get(address, 0)

    def _step(self, s: Step, e: Envelope | None) -> None:
        key = s.actor, s.invocation
        told = self._told.get(key)
        if told is None:
            _claim_that(s.number == 0 and s.begin is not None, "an invocation without its beginning")
            assert s.begin is not None
            told = self._told[key] = Told(s.begin)
            told.parked = not s.commands and any(c.number == Control.NOTED for c in s.completions)
            self.parked += told.parked
        _claim_that(s.number == told.steps, f"step {s.number}, but {told.steps} was due")
        told.steps += 1
        for command in s.commands:
            _claim_that(command.number == len(told.commands), f"{command} after {list(told.commands)}")
            told.commands[command.number] = command
            told.parked = False
        for completion in s.completions:
            number = completion.number
            if number < 0:
                self._control(told, completion)
                continue
            _claim_that(number not in told.values, f"command {number} is done twice")
            asked = told.commands.get(number)
            _claim_that(asked is not None, f"command {number} was never asked for")
            assert asked is not None
            value = json.loads(completion.value)
            self._cause(s, e, asked, completion.failed, completion.value)
            told.order[number] = len(told.order)
            told.values[number] = ["no", value["code"]] if completion.failed else ["ok", value]
        if s.status != WAITING:
            del self._told[key]
            self._end(s, told)

    def _control(self, told: Told, c: Completion) -> None:
        """Something that is done to the handler."""
        if c.number == Control.CANCEL:
            told.cancelled = True
        elif c.number in (Control.PAUSE, Control.RESUME):
            told.paused = c.number == Control.PAUSE
        elif c.number == Control.NOTED and (attempt := decode_attempt(c.value)) is not None:
            told.retries[attempt.step] = attempt.next
            told.parked = False

    def _cause(self, s: Step, e: Envelope | None, asked: Command, failed: bool, value: bytes) -> None:
        """A command is done by what it waits for, and by nothing else."""
        if asked.kind == CommandKind.SLEEP:
            right = s.cause_topic == "timer" and s.message_id == f"{s.invocation}~{asked.number}"
            _claim_that(right or failed, f"{asked} is done by {s.cause_topic} {s.message_id}")
            if failed and any(c.number == Control.CANCEL for c in s.completions):
                return  # with its handler
            _claim_that(s.time >= asked.due, f"a sleep ends {asked.due - s.time} ms early")
        elif asked.kind == CommandKind.ASK:
            reference = f"{s.actor}#{s.invocation}.{asked.number}"
            _claim_that(e is not None and e.id == reference, f"{asked} is answered by {e}")
            assert e is not None
            _claim_that((e.kind, e.payload) == (ERROR if failed else REPLY, value), f"{value!r} is not {e}")
        elif asked.kind == CommandKind.RUN and not failed:
            token = json.loads(value)
            _claim_that(isinstance(token, str), f"no effect has the result {value!r}")

    def _end(self, s: Step, told: Told) -> None:
        b = told.begin
        assert b is not None
        if not told.commands and s.status == DONE and not any(c.field == "n" for c in s.patch):
            return  # it was parked while the same call was on its way: that one's reply
        self.cancelled += told.cancelled
        arguments = json.loads(b.payload)
        twin = Twin(told, arguments.get("script", []))
        self.ended.setdefault(arguments.get("op", ""), []).append(twin)
        codes = {_code(o.payload) for o in s.outs if o.kind == OutKind.ERROR and o.id == b.id}
        codes |= {o.key for o in s.outs if o.kind == OutKind.DEADLETTER}
        if s.status == DONE:
            if b.handler in _PLAYERS:
                self.beside += b.handler == "beside" and bool(twin.got)
                self._result(s.outs, twin, b.kind == ASK)
        elif codes.isdisjoint(_FROM_OUTSIDE) and (b.kind == ASK or codes):
            may = twin.ends
            if b.handler == "serve":
                may = {{"refuse": "rejected", "fail": "failed"}.get(arguments["fate"], "")}
            if told.cancelled or ["no", "cancelled"] in told.values.values():
                may = may | {"cancelled"}  # perhaps it was whom it has asked
            if not told.commands:
                may = may | {"deadlock"}  # it is asked by what it waits for
                if b.idempotency_key:
                    may = may | {CONFLICT}
                if any(b"before it began" in o.payload or "before it began" in o.note for o in s.outs):
                    may = may | {"cancelled"}  # while it was parked
            if b.sender and codes == {"cancelled"} and codes.isdisjoint(may):
                self.given_up.add(b.id)  # by who has asked, it must be
                return
            _claim_that(bool(codes & may), f"a handler ends with {codes}, expected {may}")

    def _result(self, outs: Any, twin: Twin, ask: bool) -> None:
        _claim_that("" in twin.ends, f"a handler ends before its time: {twin.got}")
        if ask:
            replies = [json.loads(o.payload) for o in outs if o.kind == OutKind.REPLY]
            _claim_that(
                len(replies) == 1 and same(replies[0]["got"], twin.got),
                f"the result is {replies}, expected {twin.got}",
            )


def check_world(all_of: list[Waits]) -> None:
    """No effect has seen anything that the journal does not have. Raises Violation."""
    ended: dict[str, list[Twin]] = {}
    for waits in all_of:
        for op, twins in waits.ended.items():
            ended.setdefault(op, []).extend(twins)
    for op, known in world.witnessed:
        seen = json.loads(known)
        right = not seen or any(same(seen, twin.got[: len(seen)]) for twin in ended.get(op, []))
        _claim_that(right, f"an effect of {op} has seen {seen}, but {[t.got for t in ended.get(op, [])]}")


def same(got: list[Any], expected: list[Any]) -> bool:
    """Whether steps came to what they should have."""
    return len(got) == len(expected) and all(e in (g, ANY) for g, e in zip(got, expected, strict=True))


def _code(payload: bytes) -> str:
    return str(json.loads(payload)["code"])


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
