"""What a program must come to, from the program alone, against what it came to."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from plexstream.model.journal import OutKind
from plexstream.testing.programs.changes import apply
from plexstream.testing.programs.driver import Record
from plexstream.testing.programs.kinds import ALL, Came, Entry
from plexstream.testing.programs.program import Op, Script, is_workflow
from plexstream.testing.programs.sends import OUTPUT
from plexstream.testing.programs.waits import error
from plexstream.testing.simulation.errors import Violation

_CHANGES = ("change", "add")
_ARRIVES = ("note", "ring", "down", "exit")
_LATE = ("already_done", "unknown_invocation")


def check(record: Record) -> None:
    """Raise Violation unless a program came to what it must."""
    Known(record).check()


class Known:
    """Everything that is known of a program that has come to its end."""

    def __init__(self, record: Record) -> None:
        self._r = record
        self.alone = record.alone
        self._logs = {address: [tuple(e) for e in look["log"]] for address, look in record.looks.items()}
        self._ended: dict[str, list[Any]] = {}
        self._begun: set[str] = set()
        for log in self._logs.values():
            for what, _, sid, _, value in log:
                self._begun.add(sid)
                if what == "end":
                    self._ended.setdefault(sid, []).append(value)
        self._accepted: dict[str, Counter[str]] = {}
        for what, sid, id in record.said:
            if sid and not error_of(self._answer(id)):
                self._accepted.setdefault(sid, Counter())[what] += 1

        self._disturbed = {of for of, id in record.disturbed if not error_of(self._answer(id))}

    # For kinds

    def disturbed(self, sid: str, at: int | str) -> bool:
        """Whether a handler was cancelled or killed that has to do with an operation, and is no script's."""
        return (sid, at) in self._disturbed

    def given(self, sid: str, name: str) -> list[Any]:
        """The values that a promise was given, as who gave them was told."""
        offered = self._r.promised.get((self._full(sid), name), [])
        refused = "already done"
        return [v for v, id in offered if not error_of(a := self._answer(id)) and a != refused]

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

    def _last(self, sid: str) -> str:
        """The run that gives the result of a script: the first that has not gone on as new."""
        while sid in self._ended:
            last = self._r.scripts[sid].ops[-1:]
            if not last or last[0][0] != "renew":
                break
            sid = last[0][1]
        return sid

    def entries(self, of: str, what: str, sid: str, at: int) -> list[Entry]:
        """What an actor has written down of one operation."""
        return [e for e in self._logs[of] if e[0] == what and e[2:4] == (sid, at)]

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
        return bool(self._more(sid))

    def logs(self, of: str) -> list[tuple[str, list[Entry]]]:
        """What the actors have written down whose addresses begin so."""
        return [(address, log) for address, log in self._logs.items() if address.startswith(of)]

    def outputs(self, kind: str) -> list[Any]:
        """What has been emitted for operations of a kind, in the order of the journal."""
        rows = [payload for what, payload, _ in self._r.left if what == OutKind.EMIT]
        return [row for row in rows if self._r.scripts[row[0]].ops[row[1]][0] == kind]

    def answered(self, came: Came, sid: str) -> None:
        """Raise Violation unless an operation came to what a script came to."""
        sid = self._last(sid)
        ended = self._ended.get(sid)
        if ended:
            came.claim(came.value in ended, f"{sid} came to {ended}")
        else:
            codes = self._codes(sid)
            came.claim(error(came.value) in codes, f"{sid} has not ended, and may have failed with {codes}")

    def was(self, came: Came, state: list[Any], length: int) -> None:
        """Raise Violation unless an actor's state is what so many changes of it make."""
        to = self._r.scripts[came.sid].to
        n, m, items = 0, dict[str, Any](), list[Any]()
        for what, _, sid, at, _ in self._logs[to][:length]:
            op: Op = self._r.scripts[sid].ops[at] if what == "did" else [""]
            n += what == "note" or op[0] == "add"
            if op[0] == "change":
                for thing in op[1]:
                    apply(thing, m, items)
        if is_workflow(to):
            n = state[0]  # a restart makes it that of a step
        right = json.loads(json.dumps([n, m, items]))
        came.claim(state == right, f"of {state} seen beside, {length} changes of {to} make {right}")

    # Checks

    def check(self) -> None:
        for address in self._logs:
            self._state(address)
        for script in self._r.scripts.values():
            self._script(script)
        self._sends()
        self._order()
        self._replies()
        self._letters()
        for kind in ALL.values():
            kind.whole(self)

    def _state(self, address: str) -> None:
        """The log of an actor, done by Python, gives its state."""
        n, m, items = 0, dict[str, Any](), list[Any]()
        restarted = any(
            self._count("restart", s.sid) for s in self._r.scripts.values() if s.to == address
        )
        for what, sender, sid, at, value in self._logs[address]:
            where = f"{address}, {what} {sender} {sid}.{at}"
            if what == "note":
                n += 1
            elif what == "ring":
                self._claim(value >= 0, f"{where}: a timer fires {-value} ms before its time")
            elif what == "did":
                op = self._r.scripts[sid].ops[at]
                if op[0] == "add":
                    n += 1
                    # A restart makes the fields of a workflow those of the step.
                    self._claim(value == n or restarted, f"{where}: it added up to {value}, not {n}")
                else:
                    came = [apply(thing, m, items) for thing in op[1]]
                    self._same(value, came, f"{where}: {op}")
        look = self._r.looks[address]
        if not (restarted and is_workflow(address)):
            self._same(look["n"], n, f"{address}: its number")
        self._same(look["m"], m, f"{address}: its map")
        self._same(look["items"], items, f"{address}: its list")

    def _script(self, script: Script) -> None:
        """How a script ended, and what its operations came to."""
        sid = script.sid
        ends = self._ended.get(sid, [])
        more = self._more(sid)
        did = [e[3] for e in self._logs[script.to] if e[0] == "did" and e[2] == sid]
        if not ends:
            self._claim(
                is_workflow(script.to) or not did, f"{sid} has not ended, and has changed {script.to}: {did}"
            )
            if not script.parent or self._was_asked(script):
                heard = [self._r.replies.get(id) for id, asked in self._r.asks.items() if asked == sid]
                self._claim(bool(self._codes(sid)), f"{sid} has not ended: {heard}")
            return
        self._claim(len(ends) <= 1 + more, f"{sid} ended {len(ends)} times: {ends}")
        self._claim(not self._refuses(script), f"{sid} ended, and refuses")
        # One that is asked again by who was restarted may be killed, and another one end.
        killed = bool(self._count("end", sid))
        self._claim(len(ends) + killed <= 1 + more, f"{sid} was killed, and ended {len(ends)} times")
        when = [e[3] for e in self._logs[script.to] if e[0] == "end" and e[2] == sid]
        late = max(when) - self._killed_from_above(script)
        self._claim(late <= 0, f"{sid} ended {late} ms after who asks for it was killed")
        changes = [at for at, op in enumerate(script.ops) if op[0] in _CHANGES]
        if is_workflow(script.to) and more:
            self._claim(set(did) == set(changes), f"{sid} did {did} of {changes}")
        else:
            times = len(ends)
            self._claim(did == changes * times, f"{sid} did {did} of {changes}, and ended {times} times")
        self._together(script)
        for found in ends:
            self._values(script, found)

    def _killed_from_above(self, script: Script) -> int:
        """When one of those that wait for a script was killed, in ms since the epoch."""
        found = [1 << 60]
        while script.parent and not script.detached and script.parent not in self._ended:
            script = self._r.scripts[script.parent]
            if script.sid not in self._ended and not self._more(script.sid):
                found += [
                    self._r.answered_at[id] for what, sid, id in self._r.said
                    if what == "end" and sid == script.sid and not error_of(self._answer(id))
                ]  # fmt: skip
        return min(found)

    def _values(self, script: Script, found: list[Any]) -> None:
        waits = [at for at, op in enumerate(script.ops) if ALL[op[0]].waits]
        told = [at for at, _, _, _ in found]
        self._claim(set(waits) <= set(told), f"{script.sid} came to {found}, and has steps {waits}")
        before = 0
        for at, began, over, value in found:
            self._claim(before <= began <= over, f"{script.sid}.{at}: time goes back: {found}")
            before = over
            op = script.ops[at]
            ALL[op[0]].judge(op, Came(script.sid, at, began, over, value, self))

    def _together(self, script: Script) -> None:
        """What one handler of an object does is seen at once."""
        if is_workflow(script.to):
            return
        under_way = ""
        for what, sender, sid, at, _ in self._logs[script.to]:
            alone = not under_way or (what in ("did", "end") and sid == under_way)
            entry = f"{what} {sender} {sid}.{at}"
            self._claim(alone, f"{under_way} on {script.to} was interrupted by {entry}")
            under_way = sid if what == "did" else ""

    def _sends(self) -> None:
        """What was sent has arrived, once, and nothing else."""
        came: dict[str, Counter[tuple[str, Entry]]] = {}
        for address, log in self._logs.items():
            for entry in log:
                if entry[0] in _ARRIVES:
                    came.setdefault(entry[2], Counter())[address, entry[:4]] += 1
        for kind, payload, _ in self._r.left:
            if kind == OutKind.EMIT:
                sid, at, *_ = payload
                came.setdefault(sid, Counter())[OUTPUT, ("emit", "", sid, at)] += 1
        for script in self._r.scripts.values():
            self._sent(script, came.pop(script.sid, Counter()))
        self._claim(not came, f"of no script: {came}")

    def _sent(self, script: Script, came: Counter[tuple[str, Entry]]) -> None:
        wanted = [
            sent for at, op in enumerate(script.ops) if not self.disturbed(script.sid, at)
            for sent in ALL[op[0]].sends(op, script.to, script.sid, at)
        ]  # fmt: skip
        came = Counter({what: n for what, n in came.items() if not self.disturbed(script.sid, what[1][3])})
        more = self._more(script.sid)
        if more:
            came = Counter({what: 1 if times <= 1 + more else times for what, times in came.items()})
            for at, op in enumerate(script.ops):
                for sent in ALL[op[0]].may_send(op, script.to, script.sid, at):
                    wanted = [*(other for other in wanted if other != sent), *[sent] * came[sent]]
        if script.sid in self._ended:
            self._claim(
                came == Counter(wanted), f"{script.sid} has sent {dict(came)}, and should have sent {wanted}"
            )
            return
        # What is sent before a wait leaves with that step, whatever comes then.
        steps = [0, *(at for at, op in enumerate(script.ops) if ALL[op[0]].waits)]
        right = any(came == Counter(s for s in wanted if s[1][3] < step) for step in steps)
        self._claim(right, f"{script.sid} has sent {dict(came)}, which is no beginning of {wanted}")

    def _order(self) -> None:
        """What one actor sends to another arrives in its order."""
        for address, log in self._logs.items():
            by_sender: dict[str, list[tuple[str, int]]] = {}
            for what, sender, sid, at, _ in log:
                if what == "note" and not self._more(sid) and not self._overtaken(address, sid, at):
                    by_sender.setdefault(sender, []).append((sid, at))
            for sender, notes in by_sender.items():
                ends = [e[2] for e in self._logs[sender] if e[0] == "end"]
                place = {sid: n for n, sid in enumerate(ends)}
                known = [(place[sid], at) for sid, at in notes if sid in place]
                self._claim(known == sorted(known), f"{address} heard of {sender} out of order: {notes}")

    def _overtaken(self, address: str, sid: str, at: int) -> bool:
        """Whether it is a signal that failed: others go on meanwhile."""
        op = self._r.scripts[sid].ops[at]
        return is_workflow(address) and op[0] == "tell" and op[2] > 0

    def _replies(self) -> None:
        for id, asked in self._r.asks.items():
            answer, sid = self._answer(id), self._last(asked)
            if found := self._ended.get(sid):
                self._claim(answer in found, f"{id}: {answer!r} is not {found} of {sid}")
            else:
                codes = self._codes(sid)
                self._claim(error_of(answer) in codes, f"{id}: {answer!r} of {sid} is none of {codes}")

    def _letters(self) -> None:
        """Nothing is put aside that should not be."""
        for kind, payload, code in self._r.left:
            if kind != OutKind.DEADLETTER:
                continue
            if code in ("cancelled", "killed", "stopped") and self._disturbed and "ops" not in payload:
                right = True
            elif "sid" in payload and "ops" in payload:
                right = code in self._codes(self._last(payload["sid"]))
            elif "id" in payload and code in _LATE:
                name = str(payload.get("value", ""))
                sid = name.rpartition(".")[0]
                late = name == "too late" or (not name and bool(self._accepted))
                right = late or sid in self._accepted or bool(self._codes(sid))
            elif "sid" in payload and "at" in payload:
                op, of = self.op(payload["sid"], payload["at"]), payload["sid"]
                right = ALL[op[0]].puts_aside(op, self.sender(of), code, self.again(of))
                right = right or self.disturbed(of, payload["at"])
            else:
                right = False
            self._claim(right, f"{payload} was put aside: {code}")

    # Looking

    def _codes(self, sid: str) -> set[str]:
        """With which errors a script may have ended; empty: with none."""
        script = self._r.scripts.get(sid)
        if script is None:
            return set()
        codes = {"rejected"} if self._refuses(script) else set()
        if self._below(sid, "cancel"):
            codes.add("cancelled")  # whoever asks for what is cancelled hears of it
        above, detached = script, False
        while True:
            given = self._accepted.get(above.sid, Counter()) if not detached else Counter[str]()
            codes |= {{"end": "killed", "cancel": "cancelled"}[w] for w in given if w in ("end", "cancel")}
            detached = detached or above.detached
            if not above.parent:
                return codes
            above = self._r.scripts[above.parent]

    def _below(self, sid: str, what: str) -> bool:
        disturbed = any(of == sid for of, _ in self._disturbed)  # it hears of that as if it were its own
        return bool(self._count(what, sid)) or disturbed or any(
            self._below(s.sid, what) for s in self._r.scripts.values() if s.parent == sid
        )

    def _refuses(self, script: Script) -> bool:
        return any(op[0] == "refuse" for op in script.ops)

    def _was_asked(self, script: Script) -> bool:
        return script.parent in self._ended

    def _count(self, what: str, sid: str) -> int:
        return self._accepted.get(sid, Counter())[what]

    def _more(self, sid: str) -> int:
        """How often a script, or a part of it, may have been played again: whoever asks was restarted."""
        found = 0
        while sid:
            found += self._count("restart", sid)
            sid = self._r.scripts[sid].parent
        return found

    def _answer(self, id: str) -> Any:
        found = self._r.replies.get(id, [])
        self._claim(len(found) == 1, f"{id} was answered with {found}")
        return found[0]

    def _full(self, sid: str) -> str:
        return "default/default/" + self._r.scripts[sid].to

    def _same(self, found: Any, wanted: Any, where: str) -> None:
        is_same = json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)
        self._claim(is_same, f"{where} is {found!r}, and should be {wanted!r}")

    def _claim(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise Violation(otherwise)


def error_of(answer: Any) -> str:
    """The code of an answer from outside; empty where it is none."""
    return str(answer["error"]) if isinstance(answer, dict) and "error" in answer else ""
