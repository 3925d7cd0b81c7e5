"""What a program must come to, from the program alone, against what it came to."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from plexstream.model.journal.journal import OutKind
from plexstream.testing.programs.checks.known import Known, error_of
from plexstream.testing.programs.operations.changes import apply
from plexstream.testing.programs.operations.kinds import ALL, Came, Entry
from plexstream.testing.programs.operations.sends import OUTPUT
from plexstream.testing.programs.program import Script, is_workflow
from plexstream.testing.programs.stage.driver import Record
from plexstream.testing.simulation.errors import Violation

_CHANGES = ("change", "add")
_ARRIVES = ("note", "ring", "down", "exit")
_LATE = ("already_done", "unknown_invocation")


def check(record: Record) -> None:
    """Raise Violation unless a program came to what it must."""
    _Checks(record).check()


class _Checks:
    """Compares what is known of a program with what its scripts ask for."""

    def __init__(self, record: Record) -> None:
        self._r = record
        self._known = Known(record)

    def check(self) -> None:
        for address in self._known.told:
            self._state(address)
        for script in self._r.scripts.values():
            self._script(script)
        self._sends()
        self._order()
        self._replies()
        self._letters()
        for kind in ALL.values():
            kind.whole(self._known)

    def _state(self, address: str) -> None:
        """The log of an actor, done by Python, gives its state."""
        n, m, items = 0, dict[str, Any](), list[Any]()
        restarted = any(
            self._known.count("restart", s.sid) for s in self._r.scripts.values() if s.to == address
        )
        for what, sender, sid, at, value in self._known.told[address]:
            where = f"{address}, {what} {sender} {sid}.{at}"
            if what == "note":
                n += 1
            elif what == "ring":
                _claim_that(value >= 0, f"{where}: a timer fires {-value} ms before its time")
            elif what == "did":
                op = self._r.scripts[sid].ops[at]
                if op[0] == "add":
                    n += 1
                    # A restart makes the fields of a workflow those of the step.
                    _claim_that(value == n or restarted, f"{where}: it added up to {value}, not {n}")
                else:
                    came = [apply(thing, m, items) for thing in op[1]]
                    _same(value, came, f"{where}: {op}")
        look = self._r.looks[address]
        if not (restarted and is_workflow(address)):
            _same(look["n"], n, f"{address}: its number")
        _same(look["m"], m, f"{address}: its map")
        _same(look["items"], items, f"{address}: its list")

    def _script(self, script: Script) -> None:
        """How a script ended, and what its operations came to."""
        sid = script.sid
        ends = self._known.ended.get(sid, [])
        more = self._known.more(sid)
        did = [e[3] for e in self._known.told[script.to] if e[0] == "did" and e[2] == sid]
        if not ends:
            _claim_that(
                is_workflow(script.to) or not did, f"{sid} has not ended, and has changed {script.to}: {did}"
            )
            if not script.parent or self._was_asked(script):
                heard = [self._r.replies.get(id) for id, asked in self._r.asks.items() if asked == sid]
                _claim_that(bool(self._known.codes(sid)), f"{sid} has not ended: {heard}")
            return
        _claim_that(len(ends) <= 1 + more, f"{sid} ended {len(ends)} times: {ends}")
        _claim_that(not self._known.refuses(script), f"{sid} ended, and refuses")
        # One that is asked again by who was restarted may be killed, and another one end.
        killed = bool(self._known.count("end", sid))
        _claim_that(len(ends) + killed <= 1 + more, f"{sid} was killed, and ended {len(ends)} times")
        when = [e[3] for e in self._known.told[script.to] if e[0] == "end" and e[2] == sid]
        late = max(when) - self._killed_from_above(script)
        _claim_that(late <= 0, f"{sid} ended {late} ms after who asks for it was killed")
        changes = [at for at, op in enumerate(script.ops) if op[0] in _CHANGES]
        if is_workflow(script.to) and more:
            _claim_that(set(did) == set(changes), f"{sid} did {did} of {changes}")
        else:
            times = len(ends)
            _claim_that(did == changes * times, f"{sid} did {did} of {changes}, and ended {times} times")
        self._together(script)
        for found in ends:
            self._values(script, found)

    def _killed_from_above(self, script: Script) -> int:
        """When one of those that wait for a script was killed, in ms since the epoch."""
        found = [1 << 60]
        while script.parent and not script.detached and script.parent not in self._known.ended:
            script = self._r.scripts[script.parent]
            if script.sid not in self._known.ended and not self._known.more(script.sid):
                found += [
                    self._r.answered_at[id] for what, sid, id in self._r.said
                    if what == "end" and sid == script.sid and not error_of(self._known.answer(id))
                ]  # fmt: skip
        return min(found)

    def _values(self, script: Script, found: list[Any]) -> None:
        waits = [at for at, op in enumerate(script.ops) if ALL[op[0]].waits]
        told = [at for at, _, _, _ in found]
        _claim_that(set(waits) <= set(told), f"{script.sid} came to {found}, and has steps {waits}")
        before = 0
        for at, began, over, value in found:
            _claim_that(before <= began <= over, f"{script.sid}.{at}: time goes back: {found}")
            before = over
            op = script.ops[at]
            ALL[op[0]].judge(op, Came(script.sid, at, began, over, value, self._known))

    def _together(self, script: Script) -> None:
        """What one handler of an object does is seen at once."""
        if is_workflow(script.to):
            return
        under_way = ""
        for what, sender, sid, at, _ in self._known.told[script.to]:
            alone = not under_way or (what in ("did", "end") and sid == under_way)
            entry = f"{what} {sender} {sid}.{at}"
            _claim_that(alone, f"{under_way} on {script.to} was interrupted by {entry}")
            under_way = sid if what == "did" else ""

    def _sends(self) -> None:
        """What was sent has arrived, once, and nothing else."""
        came: dict[str, Counter[tuple[str, Entry]]] = {}
        for address, log in self._known.told.items():
            for entry in log:
                if entry[0] in _ARRIVES:
                    came.setdefault(entry[2], Counter())[address, entry[:4]] += 1
        for kind, payload, _ in self._r.left:
            if kind == OutKind.EMIT:
                sid, at, *_ = payload
                came.setdefault(sid, Counter())[OUTPUT, ("emit", "", sid, at)] += 1
        for script in self._r.scripts.values():
            self._sent(script, came.pop(script.sid, Counter()))
        _claim_that(not came, f"of no script: {came}")

    def _sent(self, script: Script, came: Counter[tuple[str, Entry]]) -> None:
        wanted = [
            sent for at, op in enumerate(script.ops) if not self._known.disturbed(script.sid, at)
            for sent in ALL[op[0]].sends(op, script.to, script.sid, at)
        ]  # fmt: skip
        came = Counter(
            {what: n for what, n in came.items() if not self._known.disturbed(script.sid, what[1][3])}
        )
        more = self._known.more(script.sid)
        if more:
            came = Counter({what: 1 if times <= 1 + more else times for what, times in came.items()})
            for at, op in enumerate(script.ops):
                for sent in ALL[op[0]].may_send(op, script.to, script.sid, at):
                    wanted = [*(other for other in wanted if other != sent), *[sent] * came[sent]]
        if script.sid in self._known.ended:
            _claim_that(
                came == Counter(wanted), f"{script.sid} has sent {dict(came)}, and should have sent {wanted}"
            )
            return
        # What is sent before a wait leaves with that step, whatever comes then.
        steps = [0, *(at for at, op in enumerate(script.ops) if ALL[op[0]].waits)]
        right = any(came == Counter(s for s in wanted if s[1][3] < step) for step in steps)
        _claim_that(right, f"{script.sid} has sent {dict(came)}, which is no beginning of {wanted}")

    def _order(self) -> None:
        """What one actor sends to another arrives in its order."""
        for address, log in self._known.told.items():
            by_sender: dict[str, list[tuple[str, int]]] = {}
            for what, sender, sid, at, _ in log:
                if what == "note" and not self._known.more(sid) and not self._overtaken(address, sid, at):
                    by_sender.setdefault(sender, []).append((sid, at))
            for sender, notes in by_sender.items():
                ends = [e[2] for e in self._known.told[sender] if e[0] == "end"]
                place = {sid: n for n, sid in enumerate(ends)}
                known = [(place[sid], at) for sid, at in notes if sid in place]
                _claim_that(known == sorted(known), f"{address} heard of {sender} out of order: {notes}")

    def _overtaken(self, address: str, sid: str, at: int) -> bool:
        """Whether it is a signal that failed: others go on meanwhile."""
        op = self._r.scripts[sid].ops[at]
        return is_workflow(address) and op[0] == "tell" and op[2] > 0

    def _replies(self) -> None:
        for id, asked in self._r.asks.items():
            answer, sid = self._known.answer(id), self._known.last(asked)
            if found := self._known.ended.get(sid):
                _claim_that(answer in found, f"{id}: {answer!r} is not {found} of {sid}")
            else:
                codes = self._known.codes(sid)
                _claim_that(error_of(answer) in codes, f"{id}: {answer!r} of {sid} is none of {codes}")

    def _letters(self) -> None:
        """Nothing is put aside that should not be."""
        for kind, payload, code in self._r.left:
            if kind != OutKind.DEADLETTER:
                continue
            if (
                code in ("cancelled", "killed", "stopped")
                and self._known.disturbances
                and "ops" not in payload
            ):
                right = True
            elif "sid" in payload and "ops" in payload:
                right = code in self._known.codes(self._known.last(payload["sid"]))
            elif "id" in payload and code in _LATE:
                name = str(payload.get("value", ""))
                sid = name.rpartition(".")[0]
                late = name == "too late" or (not name and bool(self._known.accepted))
                right = late or sid in self._known.accepted or bool(self._known.codes(sid))
            elif "token" in payload and code in _LATE:
                refusal = payload.get("error")
                key = str(payload.get("value") if refusal is None else refusal["data"])
                of, _, at = key.rpartition(".")
                op = self._known.op(of, int(at))
                right = ALL[op[0]].puts_aside(op, self._known.sender(of), code, self._known.again(of))
                right = right or bool(self._known.codes(of))
            elif "sid" in payload and "at" in payload:
                op, of = self._known.op(payload["sid"], payload["at"]), payload["sid"]
                right = ALL[op[0]].puts_aside(op, self._known.sender(of), code, self._known.again(of))
                right = right or self._known.disturbed(of, payload["at"])
            else:
                right = False
            _claim_that(right, f"{payload} was put aside: {code}")

    def _was_asked(self, script: Script) -> bool:
        return script.parent in self._known.ended


def _same(found: Any, wanted: Any, where: str) -> None:
    is_same = json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)
    _claim_that(is_same, f"{where} is {found!r}, and should be {wanted!r}")


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
