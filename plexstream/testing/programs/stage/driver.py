"""Plays a program on a stage, and lets everything come to its end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

from plexstream.model.journal.journal import CommandKind, Step, Turn
from plexstream.model.messages.address import parse
from plexstream.processor.waiting.invocation.invocation import Invocation
from plexstream.testing.programs.actors.guests import Habits
from plexstream.testing.programs.actors.shared import SUFFIX
from plexstream.testing.programs.operations.kinds import ALL
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import CALLS, Move, Program, Script, is_workflow, scripts
from plexstream.testing.programs.stage.partition import START, OnePartition, limited
from plexstream.testing.simulation.errors import Violation

_ROUNDS = 400
_LEAST = 6


class Said(NamedTuple):
    """A command to a handler that waits: what, of which script, and the id of the answer."""

    what: str
    sid: str
    id: str


class Record(NamedTuple):
    """What came of a program.

    Attributes:
        asks: the script of each ask, by the id of its reply.
        said: commands to handlers that wait.
        promised: by the actor and the name of a promise, the values offered and the ids of the answers.
        replies: by id, each answer that differs.
        answered_at: when it came first, in ms since the epoch.
        looks: what each actor has in the end.
        left: outputs and dead letters.
        disturbed: commands to handlers that are no script's: the operation that has to do with one, and the
            id of the answer.
        alone: whether one partition has played it: so messages arrive in the order in which they were sent,
            and the dead letters are all there.
    """

    scripts: dict[str, Script]
    asks: dict[str, str]
    said: list[Said]
    promised: dict[tuple[str, str], list[tuple[Any, str]]]
    replies: dict[str, list[Any]]
    answered_at: dict[str, int]
    looks: dict[str, Any]
    left: list[tuple[int, Any, str]]
    disturbed: list[tuple[tuple[str, int], str]]
    alone: bool = True


def play(program: Program, tell: Callable[[str], None] | None = None) -> Record:
    """Play a program over one partition in memory.

    Parameters:
        tell: gets each line of what happens; None: nobody.

    Raises:
        Violation: it does not come to its end, or its state is another one after a restart.
    """
    outside.begin()
    with limited(program.plan):
        playing = _Playing(program, tell)
        try:
            return playing.run()
        finally:
            if tell is not None:
                for line in playing.journal():
                    tell(line)


def looked_at(scripts: dict[str, Script]) -> list[str]:
    """The actors that have to do with scripts, and whose state shows what came of them."""
    found = {s.to for s in scripts.values()}
    found.update(a for s in scripts.values() for op in s.ops for a in ALL[op[0]].looks(op))
    return sorted(found)


def concerned(inv: Invocation) -> tuple[str, int] | None:
    """The operation that a handler has to do with which is no script's: script, and number."""
    address, said = parse(inv.address).short, json.loads(inv.begin.payload or b"{}")
    kind = address.partition("/")[0]
    if inv.begin.handler in ("__down__", "__exit__"):
        kind, address = "guest", said["address"]
    if kind in ("guest", "lodger", "clerk"):
        sid, _, at = Habits.of(address).key.rpartition(".")
        return sid, int(at)
    return (said["sid"], said["at"]) if kind == "machine" and "sid" in said else None


class _Playing:
    def __init__(self, program: Program, tell: Callable[[str], None] | None) -> None:
        self._tell = tell
        self._program = program
        self._stage = OnePartition(program.plan, Random(f"stage {program.seed}"))
        self._scripts = scripts(program)
        self._repeated = {move[1] for move in program.moves if move[0] == "again"}
        self._asks: dict[str, str] = {}
        self._repeats: dict[str, Move] = {}
        self._said: list[Said] = []
        self._promised: dict[tuple[str, str], list[tuple[Any, str]]] = {}
        self._disturbed: list[tuple[tuple[str, int], str]] = []
        self._values = 0

    def run(self) -> Record:
        for move in self._program.moves:
            self._move(move)
        self._settle()
        self._repeat()
        looks = self._looks()
        for keep in (True, False):
            self._stage.restart(keep)
            again = self._looks()
            for address, seen in looks.items():
                if seen != again[address]:
                    of = "with its store" if keep else "from the journal"
                    raise Violation(f"{address} has {seen}, and after a restart {of} {again[address]}")
        stage = self._stage
        return Record(
            self._scripts, self._asks, self._said, self._promised, stage.replies, stage.answered_at, looks,
            list(stage.left()), self._disturbed,
        )  # fmt: skip

    def journal(self) -> Iterator[str]:
        """What the log has, for people."""
        for offset, record in enumerate(self._stage.records):
            if type(record) is Step or type(record) is Turn:
                more = f" #{record.invocation}.{record.number}" if type(record) is Step else ""
                asked = f" asks {record.commands} has {record.completions}" if type(record) is Step else ""
                outs = [(o.kind, o.id, o.target, o.handler) for o in record.outs]
                yield (
                    f"{offset:5} {record.time - START:7} ms {record.actor}{more} {record.handler} "
                    f"status {record.status} by {record.cause_topic} {record.message_id}{asked} sends {outs}"
                )
            else:
                yield f"{offset:5} {record.time - START:7} ms {type(record).__name__}"

    def _note(self, line: str) -> None:
        if self._tell is not None:
            self._tell(f"{self._stage.now - START:7} ms  {line}")

    def _move(self, move: Move) -> None:
        stage, what = self._stage, move[0]
        self._note(f"{move}"[:200])
        if what in CALLS:
            _, sid, to, handler, ask, key, ops = move
            id = stage.send(to, handler, ask, key, sid=sid, ops=ops)
            if ask:
                self._asks[id] = sid
            if what == "again":
                self._repeats[id] = move
        elif what == "pass":
            stage.pass_time(move[1])
        elif what == "crash":
            stage.crash()
        elif what == "stop":
            stage.stop()
        elif what == "promise":
            waiting = self._promises()
            if waiting:
                self._resolve(*waiting[move[1] % len(waiting)])
        elif what == "disturb":
            self._disturb(move[1], move[2])
        else:
            self._control(*move)

    def _disturb(self, what: str, which: int) -> None:
        """Cancel or kill a hook that waits, an event of a machine, or what a supervised child does."""
        group = self._stage.p.ledger.acknowledged_number
        found = [(inv, concerned(inv)) for inv in self._stage.waits() if inv.group <= group]
        some = [(inv, of) for inv, of in found if of is not None and not self._is_repeated(of[0])]
        if some:
            inv, of = some[which % len(some)]
            what = "$end" if what == "kill" else "$cancel"
            id = self._stage.send(inv.address, what, True, invocation=inv.number)
            self._disturbed.append((of, id))
            self._note(f"{what} of {inv.reference()} {inv.begin.handler} for {of}: {id}")

    def _control(self, what: str, which: int, at: int) -> None:
        """Command a handler that waits, of those that the log has."""
        group = self._stage.p.ledger.acknowledged_number
        found = [(inv, self._sid(inv)) for inv in self._stage.waits() if inv.group <= group]
        if what not in ("pause", "resume"):
            found = [(i, s) for i, s in found if s and not self._is_repeated(s) and not self._joins(i)]
        if found:
            inv, sid = found[which % len(found)]
            more = {"from": at % max(1, inv.commands)} if what == "restart" else {}
            self._command("end" if what == "kill" else what, inv, sid, more)

    def _command(self, what: str, inv: Invocation, sid: str, more: dict[str, Any]) -> None:
        id = self._stage.send(inv.address, f"${what}", True, invocation=inv.number, **more)
        self._said.append(Said(what, sid, id))
        self._note(f"{what} {more} of {inv.reference()} {sid}, which is {inv.state}: {id}")

    def _sid(self, inv: Invocation) -> str:
        if inv.begin.handler not in ("go", "run"):
            return ""
        return str(json.loads(inv.begin.payload)["sid"])

    def _joins(self, inv: Invocation) -> bool:
        """Whether it is one more caller of a workflow's run, who waits for that."""
        return inv.begin.handler == "run" and not (inv.begun or inv.continued or inv.attempts())

    def _is_repeated(self, sid: str) -> bool:
        """Whether its call is sent twice: what was ended would run again, as it should."""
        while sid:
            if sid in self._repeated:
                return True
            sid = self._scripts[sid].parent
        return False

    def _promises(self) -> list[tuple[str, str]]:
        return [
            (inv.address, command.name) for inv in self._stage.waits()
            for command in inv.outstanding.values()
            if command.kind == CommandKind.PROMISE and not command.name.endswith(SUFFIX)
        ]  # fmt: skip

    def _resolve(self, address: str, name: str) -> None:
        self._values += 1
        value = f"value {self._values}"
        handler = "settle" if is_workflow(parse(address).short) and self._values % 2 else "$promise"
        id = self._stage.send(address, handler, True, name=name, value=value)
        self._promised.setdefault((address, name), []).append((value, id))

    def _settle(self) -> None:
        """Give everything that is waited for, until nothing waits; at last without faults."""
        stage = self._stage
        stage.crash_rate /= 3
        for at in range(_ROUNDS):
            for inv in stage.waits():
                if inv.paused:
                    self._command("resume", inv, "", {})
            for address, name in self._promises():
                self._resolve(address, name)
            stage.pass_time((100, 1100, 7000)[at % 3])
            if at >= _LEAST and not stage.busy():
                break
        stage.crash_rate = 0
        stage.pass_time(20_000)
        stage.pass_time(20_000)
        if stage.busy():
            what = [
                f"{inv.reference()} {inv.state} {inv.stuck} {list(inv.outstanding.values())}"
                for inv in stage.waits()
            ]
            more = [a for a, actor in stage.p.actors.busy.items() if actor.queue]
            raise Violation(f"it waits for ever: {what}; queues of {more}, {len(stage.p.timers)} timers")

    def _repeat(self) -> None:
        """An answer from what is kept is lost with its process: who gets none asks again."""
        for id, move in list(self._repeats.items()):
            if id not in self._stage.replies:
                del self._asks[id]
                self._move(move)
                self._stage.pass_time(0)

    def _looks(self) -> dict[str, Any]:
        return {address: self._stage.look(address) for address in looked_at(self._scripts)}
