"""A queue as it ought to be: each message to one receiver until its time is over, and lines in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from plexstream.testing.simulation.checks.model.coordinated.handled import (
    Answer,
    Handled,
    Line,
    Waiter,
    claim_that,
    ms,
    until,
)
from plexstream.testing.simulation.errors import Violation

_READY, _DELAYED, _HELD, _DEAD = "ready", "delayed", "held", "dead"


@dataclass
class Message:
    """One message; `until`: in ms since the epoch, while it is delayed or held."""

    value: Any
    where: str = _READY
    until: int = 0
    tries: int = 0
    forgiven: int = 0


class Both(Line):
    """Two lines, of which each call is in one."""

    def __init__(self, *lines: Line) -> None:
        self._lines = lines

    def find(self, call: str) -> Waiter | None:
        return next((w for line in self._lines if (w := line.find(call)) is not None), None)


class Queue:
    """One queue.

    Attributes:
        line: those who wait, to send or to receive.
    """

    def __init__(self) -> None:
        self._receivers, self._senders = Line(), Line()
        self.line: Line = Both(self._receivers, self._senders)
        self._messages: dict[int, Message] = {}
        self._last = 0
        self._bound, self._visibility, self._attempts = 0, 30_000, 5

    def take(self, h: Handled) -> None:
        """A turn. Raises Violation."""
        effect: Callable[[Handled], Any] = getattr(self, f"_{h.handler.strip('_')}")
        if h.handler == "configure":
            self._configure(h)
        self._over(h.now)
        if h.handler == "receive":
            claim_that(h.call, "nobody waits for its answer")
            lasts = ms(h.of("visibility")) if h.of("visibility") is not None else self._visibility
            waiter = Waiter(h.call, until(h.now, h.of("wait", 0)), (h.of("limit", 1), lasts))
            self._receivers.waiters.append(waiter)
        others = [answer for answer in h.answers if answer.call != h.call]
        while others and self._before(others[0], h):  # what was due is done first
            others.pop(0)
        expected = effect(h)
        for answer in others:
            self._answer(answer, h.now, h.call)
        for answer in h.answers:
            if answer.call == h.call and self.line.find(h.call) is not None:
                self._answer(answer, h.now, h.call)
            elif answer.call == h.call:
                claim_that(answer.value == expected, f"it answers {answer.value}, expected {expected}")
        self._nobody_waits_in_vain(h.now)

    def refused(self, h: Handled) -> None:
        """A turn that was rejected. Raises Violation: it should not be."""
        before, self._messages = self._messages, {n: replace(m) for n, m in self._messages.items()}
        self._over(h.now)
        self._refused(h)
        self._messages = before  # it has taken all back, also what was due

    def _refused(self, h: Handled) -> None:
        if h.handler == "send":
            room = self._room(len(h.of("messages")))
            waits = self._senders.first(h.now)
            claim_that(waits or not room, f"{h.arguments} is refused, and there is room")
        elif h.handler in ("ack", "nack"):
            held = [self._held_by(receipt, h.now) for receipt in h.of("receipts")]
            claim_that(None in held, f"{h.handler} of who holds it is refused: {h.arguments}")
        elif h.handler == "extend" and h.of("visibility") > 0:
            held_by = self._held_by(h.of("receipt"), h.now)
            claim_that(held_by is None, f"extend of who holds it is refused: {h.arguments}")

    def _before(self, answer: Answer, h: Handled) -> bool:
        try:
            self._answer(answer, h.now, h.call)
        except Violation:
            return False
        return True

    def _over(self, now: int) -> None:
        """What is due is no more where it was."""
        for message in self._messages.values():
            if message.where in (_DELAYED, _HELD) and message.until <= now:
                given_up = message.where == _HELD and message.tries - message.forgiven >= self._attempts
                message.where = _DEAD if given_up else _READY

    def _ready(self) -> list[tuple[int, Message]]:
        return [(number, m) for number, m in sorted(self._messages.items()) if m.where == _READY]

    def _room(self, count: int) -> bool:
        size = sum(m.where != _DEAD for m in self._messages.values())
        return not self._bound or size + count <= self._bound

    def _nobody_waits_in_vain(self, now: int) -> None:
        receiver, ready = self._receivers.first(now), self._ready()
        claim_that(not (receiver and ready), f"{receiver and receiver.call} waits, and {ready[:1]} is there")
        sender = self._senders.first(now)
        if sender is not None:
            claim_that(not self._room(len(sender.wish[0])), f"{sender.call} waits to send, and there is room")

    # Answers

    def _answer(self, answer: Answer, now: int, own: str) -> None:
        waiter = self._receivers.find(answer.call)
        if waiter is not None:
            self._received(waiter, answer, now, own)
            self._receivers.leave(waiter)
            return
        waiter = self._senders.find(answer.call)
        if waiter is None:
            raise Violation(f"{answer}: nobody waits for that")
        if answer.failed:
            over = waiter.until <= now or 0 < self._bound < len(waiter.wish[0])
            claim_that(over, f"{waiter.call} is turned away {waiter.until - now} ms early")
        else:
            first = self._senders.first(now)
            claim_that(first is waiter, f"{waiter.call} is let in before {first and first.call}")
            claim_that(self._room(len(waiter.wish[0])), f"{waiter.call} is let in, and there is no room")
            values, delay = waiter.wish
            numbers = self._put(values, delay, now)
            claim_that(answer.value == numbers, f"{answer} numbers what is {numbers}")
        self._senders.leave(waiter)

    def _received(self, waiter: Waiter, answer: Answer, now: int, own: str) -> None:
        first, ready = self._receivers.first(now, own), self._ready()
        claim_that(not answer.failed, f"{answer} is no answer to a receiver")
        limit, lasts = waiter.wish
        if not answer.value:
            early = waiter.until - now
            claim_that(early <= 0, f"{waiter.call} is told {early} ms early that it has waited in vain")
            there = waiter.call == own and first is waiter and ready
            claim_that(not there, f"{waiter.call} gets nothing, and {ready} is there")
            return
        claim_that(first is waiter, f"{waiter.call} is served before {first and first.call}")
        claim_that(len(answer.value) <= limit, f"{waiter.call} gets more than {limit}")
        claim_that(len(ready) >= len(answer.value), f"{waiter.call} gets {answer.value}, there is {ready}")
        for told, (number, message) in zip(answer.value, ready, strict=False):
            message.tries += 1
            right = {
                "id": number, "receipt": f"{number}-{message.tries}", "value": message.value,
                "attempt": message.tries - message.forgiven, "due": now + lasts,
            }  # fmt: skip
            if told != right:
                message.tries -= 1
                raise Violation(f"{waiter.call} gets {told}, expected {right}")
            message.where, message.until = _HELD, now + lasts

    def _put(self, values: list[Any], delay: int, now: int) -> list[int]:
        numbers = list(range(self._last + 1, self._last + 1 + len(values)))
        self._last += len(values)
        for number, value in zip(numbers, values, strict=True):
            self._messages[number] = Message(value, _DELAYED if delay else _READY, now + delay)
        return numbers

    # Effects

    def _alarm(self, h: Handled) -> None:
        """Nothing of its own."""

    def _receive(self, h: Handled) -> None:
        """Its caller is in the line already."""

    def _send(self, h: Handled) -> Any:
        values, delay = h.of("messages"), ms(h.of("delay")) if h.of("delay") else 0
        answered = any(answer.call == h.call for answer in h.answers)
        if h.call and not answered:  # it waits
            claim_that(h.of("wait", 0) != 0, "who does not wait is not answered")
            self._senders.waiters.append(Waiter(h.call, until(h.now, h.of("wait")), (values, delay)))
            return None
        claim_that(self._room(len(values)), f"{values} is taken, and there is no room")
        waits = self._senders.first(h.now)
        claim_that(not waits, f"{values} is taken before that of {waits and waits.call}")
        return self._put(values, delay, h.now)

    def _ack(self, h: Handled) -> int:
        held = self._all_held(h)
        for number in held:
            del self._messages[number]
        return len(held)

    def _nack(self, h: Handled) -> int:
        delay = ms(h.of("delay")) if h.of("delay") else 0
        held = self._all_held(h)
        for number in held:
            message = self._messages[number]
            given_up = message.tries - message.forgiven >= self._attempts
            message.where = _DEAD if given_up else _DELAYED if delay else _READY
            message.until = h.now + delay
        return len(held)

    def _extend(self, h: Handled) -> int:
        number = self._held_by(h.of("receipt"), h.now)
        claim_that(number is not None, f"extend, by one who does not hold it: {h.arguments}")
        assert number is not None
        self._messages[number].until = h.now + ms(h.of("visibility"))
        return self._messages[number].until

    def _purge(self, h: Handled) -> int:
        gone = [number for number, m in self._messages.items() if m.where != _DEAD]
        for number in gone:
            del self._messages[number]
        return len(gone)

    def _configure(self, h: Handled) -> Any:
        self._bound = h.of("bound", self._bound)
        self._attempts = h.of("attempts", self._attempts)
        self._visibility = ms(h.of("visibility")) if "visibility" in h.arguments else self._visibility
        settings = {"bound": self._bound, "visibility": self._visibility / 1000, "attempts": self._attempts}
        return {**settings, "out": ""}

    def _all_held(self, h: Handled) -> list[int]:
        held = [self._held_by(receipt, h.now) for receipt in h.of("receipts")]
        claim_that(None not in held, f"{h.handler}, by one who does not hold it: {h.arguments}")
        return [number for number in held if number is not None]

    def _held_by(self, receipt: str, now: int) -> int | None:
        number, _, tries = receipt.partition("-")
        message = self._messages.get(int(number))
        if message is None or message.where != _HELD or message.until <= now:
            return None
        return int(number) if message.tries == int(tries) else None
