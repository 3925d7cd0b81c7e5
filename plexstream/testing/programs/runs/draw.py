"""Programs from seeds. Each leaves some kinds of operations, moves and faults out: what hides one fault often
shows another.
"""

from __future__ import annotations

from random import Random

from plexstream.testing.programs.actors.actors import OBJECTS
from plexstream.testing.programs.operations.kinds import ALL, Scope
from plexstream.testing.programs.operations.waits import script
from plexstream.testing.programs.program import Move, Op, Plan, Program

_OFTEN = ("ask", "run", "tell", "tell", "sleep", "change")
_CONTROLS = ("pause", "resume", "resume", "cancel", "kill", "restart")


def draw(seed: int) -> Program:
    """Make up a program."""
    random = Random(f"program {seed}")
    crash = random.choice((0, 0, 0.01, 0.05, 0.15))
    plan = Plan(
        crash=crash,
        # Who crashes while it handles something may be taken for poison; who rests may not.
        poison=1 << 30 if crash else random.choice((2, 3)),
        keep=random.choice((0.0, 0.5, 1.0)),
        late=random.random() < 0.6,
        batch=random.random() < 0.5,
        slow=random.random() < 0.5,
        flush=random.choice((0.0, 0.1)),
        evict=random.choice((0.0, 0.2)),
        kept_tasks=random.choice((20_000, 20_000, 0, 2)),
        park_after=random.choice((5_000, 1_000, 100)),
        probe_after=random.choice((1_000, 100)),
        announced_after=random.choice((1_000, 100, 1)),
    )
    names = sorted(ALL.keys() - {"kept"})
    kinds = random.sample(names, random.randint(4, len(names)))
    if random.random() < 0.8:
        kinds += _OFTEN
    if random.random() < 0.5:
        kinds.append("workflows")
    if Random(f"kept {seed}").random() < 0.4:
        kinds += ["kept", "kept"]
    controls = random.random() < 0.4
    drawn = _Drawing(random, kinds, [c for c in _CONTROLS if controls or c in ("pause", "resume")])
    moves: list[Move] = []
    apart = Random(f"disturbed {seed}")
    disturbs = apart.random() < 0.4
    for _ in range(random.randint(2, 10)):
        moves += drawn.round()
        if disturbs and apart.random() < 0.7:
            moves.append(["disturb", apart.choice(("cancel", "kill")), apart.randrange(8)])
    return Program(seed, plan, moves)


class _Drawing:
    """What has been made up so far."""

    _flows: list[str]
    _runs: list[Move]

    def __init__(self, random: Random, kinds: list[str], controls: list[str]) -> None:
        self._random = random
        self._kinds = kinds
        self._controls = controls
        self._calls = 0
        self._keyed: list[Move] = []
        self._flows = []
        self._runs: list[Move] = []

    def round(self) -> list[Move]:
        """What happens between two times that time passes."""
        random = self._random
        moves = [self._call() for _ in range(random.randint(1, 3))]
        if self._keyed and random.random() < 0.3:
            moves.append(random.choice(self._keyed))
        if self._runs and random.random() < 0.3:
            moves.append(random.choice(self._runs))
        moves.append(["pass", random.choice((0, 0, 10, 200, 1100, 6000))])
        if random.random() < 0.3:
            moves.append([random.choice(("crash", "crash", "stop"))])
            while random.random() < 0.4:
                moves += [["pass", random.choice((0, 0, 50))], ["crash"]]
        if random.random() < 0.4:
            moves.append([random.choice(self._controls), random.randrange(8), random.randrange(6)])
        if random.random() < 0.6:
            moves.append(["promise", random.randrange(8)])
        return moves

    def _call(self) -> Move:
        random = self._random
        sid = f"s{self._calls}"
        self._calls += 1
        at = random.randrange(len(OBJECTS))
        to, handler = OBJECTS[at], "go"
        if "workflows" in self._kinds and random.random() < 0.4:
            to, handler = f"{random.choice(('flow', 'flowing'))}/{sid}", "run"
            self._flows.append(to)
        ask = random.random() < 0.6
        everyone = [*OBJECTS, *self._flows[-3:]]
        scope = Scope(random, sid, list(OBJECTS[at + 1 :]), everyone, 0, self._kinds)
        scope.runs = random.choice((0, 0, 1, 2)) if handler == "run" else 0
        ops: list[Op] = script(scope, calm=ask)
        key = f"k{sid}" if ask and random.random() < 0.4 else ""
        call: Move = ["call", sid, to, handler, ask, key, ops]
        if handler == "run":
            self._runs.append(["join", sid, to, handler, True, "", ops])
        if key:
            self._keyed.append(["again", *call[1:]])
        return call
