"""A tuple space as it ought to be: a tuple to one taker, the first who wants it, and to all who read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from plexstream.testing.linearizability.models.space import fits
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

_READ, _TAKE = "read", "take"


class Entry(NamedTuple):
    """A tuple that is there; `due`: when it ends, in ms since the epoch, 0: never."""

    id: int
    tuple: list[Any]
    due: int

    def answer(self) -> dict[str, Any]:
        """What callers are told of it."""
        return self._asdict()


class Space:
    """One space.

    Attributes:
        there: its tuples, by id; some may have ended.
        written, taken: how many were.
    """

    def __init__(self) -> None:
        self.line = Line()
        self.there: dict[int, Entry] = {}
        self.written = self.taken = 0
        self._ever: dict[int, Entry] = {}
        self._new: list[Entry] = []  # of the turn at hand, and offered to those who wait

    def content(self, now: int) -> dict[int, Entry]:
        """The tuples that have not ended."""
        return {id: entry for id, entry in self.there.items() if not 0 < entry.due <= now}

    def take(self, h: Handled) -> None:
        """A turn. Raises Violation."""
        self.there, self._new = self.content(h.now), []
        effect: Callable[[Handled, Any], Any] = getattr(self, f"_{h.handler.strip('_')}")
        own = next((answer.value for answer in h.answers if answer.call == h.call), None)
        if h.handler in (_READ, _TAKE):
            claim_that(h.call, "nobody waits for its answer")
            waiter = Waiter(h.call, until(h.now, h.of("wait", 0)), (h.handler, h.of("pattern")))
            self.line.waiters.append(waiter)
        expected = effect(h, own)
        for answer in h.answers:
            found = self.line.find(answer.call)
            if found is not None:
                self._answer(found, answer, h.now, h.call)
                self.line.leave(found)
            else:
                claim_that(answer.call == h.call, f"{answer}: nobody waits for that")
                claim_that(answer.value == expected, f"it answers {answer.value}, expected {expected}")
        self._nobody_waits_in_vain(h.now, h.call)

    def refused(self, h: Handled) -> None:
        """A turn that was rejected. Raises Violation: it should not be."""
        content = self.content(h.now)
        if h.of("ttl") is not None and h.of("ttl") <= 0:
            return
        claim_that(h.handler in ("renew", "cancel", "transaction"), f"{h.handler} is refused: {h.arguments}")
        if h.handler != "transaction":
            claim_that(h.of("id") not in content, f"{h.handler} of what is there is refused: {h.arguments}")
            return
        refused = False
        for told in h.of("operations"):
            found = [e for e in content.values() if "pattern" in told and fits(told["pattern"], e.tuple)]
            refused = refused or (bool(found) == (told["op"] == "absent") and told["op"] != "write")
            if (len(found) > 1 and told["op"] == _TAKE) or told["op"] == "write":
                return  # what comes after depends on which was taken
            if told["op"] == _TAKE and found:
                del content[found[0].id]
        claim_that(refused, f"a transaction is refused that can be done: {h.arguments}")

    def saw(self, h: Handled, view: Any) -> bool:
        """Whether a read could ever tell this."""
        if h.handler == "count":
            return True
        found = view["entries"] if h.handler == "read_all" else [one for one in view[:1] if one is not None]
        return all(
            e["tuple"] == self._ever[e["id"]].tuple and fits(h.of("pattern"), e["tuple"]) for e in found
        )

    # Who waits

    def _first(self, entry: Entry, now: int, own: str) -> Waiter | None:
        """The first who wants to take a tuple."""
        takes = (w for w in self.line.there(now, own) if w.wish[0] == _TAKE)
        return next((w for w in takes if fits(w.wish[1], entry.tuple)), None)

    def _answer(self, waiter: Waiter, answer: Answer, now: int, own: str) -> None:
        claim_that(not answer.failed, f"{answer} is no answer of a space")
        kind, pattern = waiter.wish
        if answer.value is None:
            early = waiter.until - now
            claim_that(early <= 0, f"{waiter.call} is told {early} ms early that it has waited in vain")
            found = [e for e in self.there.values() if fits(pattern, e.tuple)]
            claim_that(waiter.call != own or not found, f"{waiter.call} finds nothing, and {found} is there")
            return
        entry = self.there.get(answer.value["id"])
        if kind == _READ and entry is None:  # whoever waited has seen it before it was taken
            entry = next((e for e in self._new if e.id == answer.value["id"]), None)
        if entry is None:
            raise Violation(f"{waiter.call} gets {answer.value}, which is not there")
        claim_that(answer.value == entry.answer(), f"{waiter.call} gets {answer.value}, it is {entry}")
        claim_that(fits(pattern, entry.tuple), f"{waiter.call} wants {pattern}, and gets {entry}")
        if kind == _TAKE:
            first = self._first(entry, now, own)
            claim_that(first is waiter, f"{waiter.call} is served before {first and first.call}")
            self._gone(entry)

    def _nobody_waits_in_vain(self, now: int, own: str) -> None:
        for waiter in self.line.there(now):
            kind, pattern = waiter.wish
            seen = self._new if kind == _READ and waiter.call != own else []
            found = [e for e in (*self.there.values(), *seen) if fits(pattern, e.tuple)]
            claim_that(not found, f"{waiter.call} waits for {pattern}, and {found} is there")

    # Effects

    def _gone(self, entry: Entry) -> None:
        del self.there[entry.id]
        self.taken += 1

    def _put(self, tuple: list[Any], h: Handled, ttl: float | None) -> Entry:
        self.written += 1
        entry = Entry(self.written, tuple, 0 if ttl is None else h.now + ms(ttl))
        self.there[entry.id] = self._ever[entry.id] = entry
        self._new.append(entry)
        return entry

    def _alarm(self, h: Handled, own: Any) -> None:
        """Nothing of its own."""

    def _read(self, h: Handled, own: Any) -> None:
        """Its caller is in the line already."""

    _take = _read

    def _write(self, h: Handled, own: Any) -> Any:
        entry = self._put(h.of("tuple"), h, h.of("ttl"))
        return {"id": entry.id, "due": entry.due}

    def _write_many(self, h: Handled, own: Any) -> Any:
        entries = [self._put(tuple, h, h.of("ttl")) for tuple in h.of("tuples")]
        return [{"id": entry.id, "due": entry.due} for entry in entries]

    def _swap(self, h: Handled, own: Any) -> Any:
        found = self._found(h.of("pattern"), own)
        if found is None:
            return None
        self._gone(found)
        self._put(h.of("tuple"), h, h.of("ttl"))
        return found.answer()

    def _found(self, pattern: list[Any], told: Any) -> Entry | None:
        """The one that a caller was told of, if it fits; which of several is left to the space."""
        fitting = [e for e in self.there.values() if fits(pattern, e.tuple)]
        for entry in fitting:
            if told is not None and entry.id == told["id"]:
                return entry
        return fitting[0] if fitting else None

    def _take_all(self, h: Handled, own: Any) -> Any:
        found = [e for e in self.there.values() if fits(h.of("pattern"), e.tuple)]
        for entry in found:
            self._gone(entry)
        told = own["entries"] if own else []
        return {"entries": sorted((e.answer() for e in found), key=lambda e: _place(told, e)), "after": None}

    def _renew(self, h: Handled, own: Any) -> Any:
        entry = self.there.get(h.of("id"))
        if entry is None:
            raise Violation(f"what is not there is renewed: {h.arguments}")
        entry = self.there[entry.id] = entry._replace(due=h.now + ms(h.of("ttl")))
        return {"id": entry.id, "due": entry.due}

    def _cancel(self, h: Handled, own: Any) -> None:
        entry = self.there.get(h.of("id"))
        if entry is None:
            raise Violation(f"what is not there is cancelled: {h.arguments}")
        self._gone(entry)

    def _transaction(self, h: Handled, own: Any) -> Any:
        answers: list[Any] = []
        for at, told in enumerate(h.of("operations")):
            said = own[at] if own else None
            if told["op"] == "write":
                entry = self._put(told["tuple"], h, told.get("ttl"))
                answers.append({"id": entry.id, "due": entry.due})
                continue
            found = self._found(told["pattern"], said)
            claim_that((found is None) == (told["op"] == "absent"), f"{told} is done: there is {found}")
            answers.append(found.answer() if found else None)
            if found and told["op"] == _TAKE:
                self._gone(found)
                self._new = [e for e in self._new if e is not found]
        return answers


def _place(told: list[dict[str, Any]], entry: dict[str, Any]) -> int:
    """Where an entry is among those that were told: in which order they come is left to the space."""
    return told.index(entry) if entry in told else len(told)
