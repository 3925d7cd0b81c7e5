"""What is known of a program that has come to its end: what actors wrote down, and callers were told."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from plexstream.model.journal.journal import OutKind
from plexstream.testing.programs.operations.changes import apply
from plexstream.testing.programs.operations.kinds import Came, Entry
from plexstream.testing.programs.operations.waits import error
from plexstream.testing.programs.program import Op, Script, is_workflow
from plexstream.testing.programs.stage.driver import Record
from plexstream.testing.simulation.errors import Violation


class Known:
    """Everything that is known of a program that has come to its end.

    Attributes:
        alone: whether nobody but the program was there, so that all that has left is known.
        told: what each actor has written down, by address.
        ended: the values with which each script has ended.
        accepted: what was done to each script, how often, where who did it was told so.
        disturbances: handlers that were cancelled or killed, by script and operation.
    """

    def __init__(self, record: Record) -> None:
        self._r = record
        self.alone = record.alone
        self.told = {address: [tuple(e) for e in look["log"]] for address, look in record.looks.items()}
        self.ended: dict[str, list[Any]] = {}
        self._begun: set[str] = set()
        for log in self.told.values():
            for what, _, sid, _, value in log:
                self._begun.add(sid)
                if what == "end":
                    self.ended.setdefault(sid, []).append(value)
        self.accepted: dict[str, Counter[str]] = {}
        for what, sid, id in record.said:
            if sid and not error_of(self.answer(id)):
                self.accepted.setdefault(sid, Counter())[what] += 1

        self.disturbances = {of for of, id in record.disturbed if not error_of(self.answer(id))}

    def disturbed(self, sid: str, at: int | str) -> bool:
        """Whether a handler was cancelled or killed that has to do with an operation, and is no script's."""
        return (sid, at) in self.disturbances

    def given(self, sid: str, name: str) -> list[Any]:
        """The values that a promise was given, as who gave them was told."""
        offered = self._r.promised.get((self._full(sid), name), [])
        refused = "already done"
        return [v for v, id in offered if not error_of(a := self.answer(id)) and a != refused]

    def runs_before(self, sid: str, op: Op) -> int:
        """How many earlier runs of a workflow have come past an operation like this one."""
        found = 0
        parent = self._r.scripts[self._r.scripts[sid].parent] if self._continues(sid) else None
        while parent is not None:
            found += op in parent.ops
            parent = self._r.scripts[parent.parent] if self._continues(parent.sid) else None
        return found

    def runs_after(self, sid: str) -> int:
        """How many runs of a workflow come after this one."""
        ops = self._r.scripts[sid].ops
        return 1 + self.runs_after(ops[-1][1]) if ops and ops[-1][0] == "renew" else 0

    def _continues(self, sid: str) -> bool:
        """Whether a script is a run that another one has gone on as."""
        script = self._r.scripts[sid]
        return bool(script.parent) and ["renew", sid, script.ops] in self._r.scripts[script.parent].ops

    def last(self, sid: str) -> str:
        """The run that gives the result of a script: the first that has not gone on as new."""
        while sid in self.ended:
            last = self._r.scripts[sid].ops[-1:]
            if not last or last[0][0] != "renew":
                break
            sid = last[0][1]
        return sid

    def entries(self, of: str, what: str, sid: str, at: int) -> list[Entry]:
        """What an actor has written down of one operation."""
        return [e for e in self.told[of] if e[0] == what and e[2:4] == (sid, at)]

    def letters(self, sid: str, at: int) -> list[str] | None:
        """The errors with which messages of one operation were put aside; None: nobody has looked."""
        if not self.alone:
            return None
        rows = [(payload, code) for what, payload, code in self._r.left if what == OutKind.DEADLETTER]
        return [code for payload, code in rows if (payload.get("sid"), payload.get("at")) == (sid, at)]

    def op(self, sid: str, at: int) -> Op:
        """One operation."""
        return self._r.scripts[sid].ops[at]

    def sender(self, sid: str) -> str:
        """Whose script it is."""
        return self._r.scripts[sid].to

    def again(self, sid: str) -> bool:
        """Whether a script may have been played more than once, or in part."""
        return bool(self.more(sid))

    def logs(self, of: str) -> list[tuple[str, list[Entry]]]:
        """What the actors have written down whose addresses begin so."""
        return [(address, log) for address, log in self.told.items() if address.startswith(of)]

    def outputs(self, kind: str) -> list[Any]:
        """What has been emitted for operations of a kind, in the order of the journal."""
        rows = [payload for what, payload, _ in self._r.left if what == OutKind.EMIT]
        return [row for row in rows if self._r.scripts[row[0]].ops[row[1]][0] == kind]

    def answered(self, came: Came, sid: str) -> None:
        """Raise Violation unless an operation came to what a script came to."""
        sid = self.last(sid)
        ended = self.ended.get(sid)
        if ended:
            came.claim(came.value in ended, f"{sid} came to {ended}")
        else:
            codes = self.codes(sid)
            came.claim(error(came.value) in codes, f"{sid} has not ended, and may have failed with {codes}")

    def was(self, came: Came, state: list[Any], length: int) -> None:
        """Raise Violation unless an actor's state is what so many changes of it make."""
        to = self._r.scripts[came.sid].to
        n, m, items = 0, dict[str, Any](), list[Any]()
        for what, _, sid, at, _ in self.told[to][:length]:
            op: Op = self._r.scripts[sid].ops[at] if what == "did" else [""]
            n += what == "note" or op[0] == "add"
            if op[0] == "change":
                for thing in op[1]:
                    apply(thing, m, items)
        if is_workflow(to):
            n = state[0]  # a restart makes it that of a step
        right = json.loads(json.dumps([n, m, items]))
        came.claim(state == right, f"of {state} seen beside, {length} changes of {to} make {right}")

    def codes(self, sid: str) -> set[str]:
        """With which errors a script may have ended; empty: with none."""
        script = self._r.scripts.get(sid)
        if script is None:
            return set()
        codes = {"rejected"} if self.refuses(script) else set()
        if self._below(sid, "cancel"):
            codes.add("cancelled")  # whoever asks for what is cancelled hears of it
        above, detached = script, False
        while True:
            given = self.accepted.get(above.sid, Counter()) if not detached else Counter[str]()
            codes |= {{"end": "killed", "cancel": "cancelled"}[w] for w in given if w in ("end", "cancel")}
            detached = detached or above.detached
            if not above.parent:
                return codes
            above = self._r.scripts[above.parent]

    def _below(self, sid: str, what: str) -> bool:
        disturbed = any(of == sid for of, _ in self.disturbances)  # it hears of that as if it were its own
        return (
            bool(self.count(what, sid))
            or disturbed
            or any(self._below(s.sid, what) for s in self._r.scripts.values() if s.parent == sid)
        )

    def refuses(self, script: Script) -> bool:
        """Whether a script always ends with a refusal."""
        return any(op[0] == "refuse" for op in script.ops)

    def count(self, what: str, sid: str) -> int:
        """How often somebody did something to a script, and was told so."""
        return self.accepted.get(sid, Counter())[what]

    def more(self, sid: str) -> int:
        """How often a script, or a part of it, may have been played again: whoever asks was restarted."""
        found = 0
        while sid:
            found += self.count("restart", sid)
            sid = self._r.scripts[sid].parent
        return found

    def answer(self, id: str) -> Any:
        """What a call was answered. Raises Violation unless it was, once."""
        found = self._r.replies.get(id, [])
        _claim_that(len(found) == 1, f"{id} was answered with {found}")
        return found[0]

    def _full(self, sid: str) -> str:
        return "default/default/" + self._r.scripts[sid].to


def error_of(answer: Any) -> str:
    """The code of an answer from outside; empty where it is none."""
    return str(answer["error"]) if isinstance(answer, dict) and "error" in answer else ""


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
