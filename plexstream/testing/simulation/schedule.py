"""One seed, one schedule: the random order of everything that happens, and every fault."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from plexstream.hosts.native import NativeHost
from plexstream.log.base import Place, Record, TopicSpec
from plexstream.model.journal import Mark
from plexstream.model.topics import COPARTITIONED, Topics
from plexstream.node.ingest import ingest, positions, subscribed
from plexstream.node.lanes import outputs
from plexstream.node.partition import driver, relay
from plexstream.node.partition.takeover import takeover
from plexstream.node.shared import flying
from plexstream.processor import limits
from plexstream.processor.journal import restore
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.waiting.deadlock import FOUND, PROBE
from plexstream.schema.codec import decode_journal
from plexstream.store.memory import MemoryStore
from plexstream.testing.simulation import liveness, waiting
from plexstream.testing.simulation.actors import OUTPUT, Cell, make_host
from plexstream.testing.simulation.checks import Checks, Stored, envelope, stored_offset
from plexstream.testing.simulation.clients import SimClient
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.feeding import Feeding
from plexstream.testing.simulation.lives import Mixer
from plexstream.testing.simulation.network import Network
from plexstream.testing.simulation.plan import Plan, plan
from plexstream.testing.simulation.process import PHASES, SimProcess

STEPS = 260
"""Steps of a schedule before its faults stop."""
_START = 1_700_000_000_000
_ROUNDS = 3000  # in which everything must come to rest once the faults have stopped
_ROUND = 15
_PATIENT = 600_000
"""Milliseconds that pass between two rounds: a few, and ever more while nothing happens."""
_SOON = 30_000
"""After so many ms without faults, and when nothing happens any more, whoever has its answer has gone on."""
_QUIET = 60
"""Rounds without a record after which nothing happens any more."""
_LOOKS_FOR_PAUSED = 20
"""Rounds without a record after which somebody looks for handlers that are still paused."""
_WAITS = {
    "KEPT_TASKS": "kept_tasks", "PARK_AFTER": "park_after", "RUN_ANNOUNCED": "announced_after",
    "PROBE_AFTER": "probe_after",
}  # fmt: skip
"""Limits of handlers that wait, and what the plan calls them."""
_host: list[NativeHost] = []


class Simulation:
    """Everything of one seed.

    Parameters:
        seed: decides everything.
        steps: how long the faults last.
        tell: gets each line of the trace; None: no trace.
        change: parts of the plan that are not left to the seed.
    """

    def __init__(
        self, seed: int, steps: int = STEPS, tell: Callable[[str], None] | None = None,
        change: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.seed = seed
        self.random = Random(f"plexstream {seed}")
        # Drawn apart, so that seeds without a tree are what they were before there were trees.
        workers = Random(f"tree {seed}").choice((0, 0, 0, 1, 3))
        waits = Random(f"waiting {seed}")
        drawn = {
            "workers": workers, "waiters": waits.choice((0, 0, 0, 0, 2, 4)),
            "kept_tasks": waits.choice((1, 3, 20_000)), "park_after": waits.choice((10, 30, 5_000)),
            "announced_after": waits.choice((1, 30, 1_000)), "probe_after": waits.choice((20, 200)),
            "plain": waits.choice((0, 0, 0, 0, 0, 0, 0, 40)),
            "no_offset": waits.choice((0, 0, 0.1, 0.4)), "away": waits.choice((0, 0, 0.02)),
            "burst": waits.choice((0, 0, 0.004, 0.015)), "stop": waits.choice((0, 0, 0.01, 0.03)),
        }  # fmt: skip
        if drawn["waiters"] and waits.random() < 0.5:  # few partitions, many waits, many crashes
            drawn.update(partitions=1, processes=2, workers=0, burst=0.02)
        lives = Random(f"lives {seed}")
        drawn["mix"] = lives.choice((0.0,) * 7 + (0.5,))
        if drawn["mix"]:  # long enough for stores to be written, copied and mistaken
            drawn.update(steps=3 * steps, crash=0.03, wipe=0.0)
        astray = Random(f"astray {seed}")
        # In every fifth seed, and none of those that are known to find broken rules.
        drawn["astray"] = astray.choice((0.1, 0.3)) if seed % 10 in (2, 6) else 0.0
        again = Random(f"again {seed}")
        drawn["again"] = again.choice((0.05, 0.3)) if seed % 10 in (3, 7) else 0.0
        drawn["fed"] = Random(f"fed {seed}").choice((0.0, 0.0, 0.0, 0.1))
        self.mixer = Mixer(lives)
        self.plan: Plan = plan(self.random, steps)._replace(**{**drawn, **(change or {})})
        if self.plan.plain:
            settings = self.plan.settings._replace(max_in_flight=500, max_waiting=100)
            self.plan = self.plan._replace(settings=settings)
        self.hits: Counter[str] = Counter()
        self.step = 0
        self._seen: Counter[Place] = Counter()
        self._awaited: list[tuple[str, int] | None] = []
        self._tell = tell
        self._now = _START
        self.topics = Topics("s.")
        p = self.plan
        self.network = Network(self.random, self.clock, self.note)
        self.network.odds_unknown_offset = p.unknown_offset
        self.network.odds_commit = p.commit
        self.network.odds_no_offset = p.no_offset
        self.network.odds_answer = p.answer
        self.network.odds_astray, self.network.astray = p.astray, astray
        self.network.odds_again, self.network.again = p.again, again
        self.network.again_at = self.topics.journal
        self.network.apart = Random(f"answers {seed}")
        self.network.odds_late_answer = self.network.apart.choice((0.0, 0.1, 0.5))
        names = [getattr(self.topics, kind) for kind in COPARTITIONED]
        self.network.create([TopicSpec(name, p.partitions) for name in names])
        self.network.create([TopicSpec(self.topics.out(OUTPUT), 2), TopicSpec(self.topics.control, 1)])
        if not _host:
            _host.append(make_host())
        self.feeding: Feeding | None = None
        if p.fed:
            cell = Cell.__plexstream__  # type: ignore[attr-defined]
            self.feeding = Feeding(seed, self.network, self.topics, p.cells, self.clock, p.late, cell)
        self.processes = [self._process(f"w{i}") for i in range(p.processes)]
        addresses = [f"cell/{i}" for i in range(p.cells)] + [f"brief/{i}" for i in range(p.briefs)]
        self.clients = [
            SimClient(f"edge{i}", self.network, self.topics, p, self.random, self.clock, addresses)
            for i in range(p.clients)
        ]

    def _process(self, name: str) -> SimProcess:
        p = self.plan
        return SimProcess(
            name, self.network, self.topics, p.partitions, _host[0], p.settings, self.clock, self.random,
            self.hits, self.note,
        )  # fmt: skip

    def clock(self) -> int:
        """The simulation's time, in ms since the epoch."""
        return self._now

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self._tell is not None:
            self._tell(f"{self.step:5} {self._now - _START:7} ms  {text}")

    # The schedule

    def run(self) -> Counter[str]:
        """Run the whole schedule and check it; returns what happened how often.

        Raises:
            Violation: a promise was broken.
        """
        self.note(f"seed {self.seed}: {self.plan}")
        waiting.world.begin()
        with shrunk(self.plan):
            self._assign()
            if self.plan.workers:
                self.clients[0].plant(self.step)
            for _ in range(self.plan.steps):
                self.step += 1
                self._now += self.random.choice((0, 0, 1, 1, 2, 5, 12))
                self._fault()
                self._something()
                if self.feeding is not None:
                    self._feed(self.feeding)
            self._heal()
            self._settle("after the faults")
            stores = self._stores()
            processes = self.processes
            self._rebuild(stores)
            checks = self._checks()
            checks.run(stores)
            if self.feeding is not None:
                checks.fed(self.feeding.ops)
                self.hits["records of a source"] += len(self.feeding.ops)
            for process in (*processes, *self.processes):
                checks.takeovers(process.found)
            self._count(checks)
        return self.hits

    def _count(self, checks: Checks) -> None:
        """What only the log tells of."""
        if checks.judge.restarts:
            self.hits["a child restarted"] += checks.judge.restarts
        if checks.judge.gave_up:
            self.hits["a supervisor gave up"] += checks.judge.gave_up
        for partition, model in enumerate(checks.models):
            if model.waits.parked:
                self.hits["parked behind a handler"] += model.waits.parked
            if model.attempts.parked:
                self.hits["parked for a retry"] += model.attempts.parked
            if model.waits.beside:
                self.hits["a handler waited beside others"] += model.waits.beside
            if model.waits.cancelled:
                self.hits["a handler cancelled"] += model.waits.cancelled
            if any("deadlock" in map(_last, twin.got) for t in model.waits.ended.values() for twin in t):
                self.hits["a circle found"] += 1
            if model.voided:
                self.hits["records of zombies"] += model.voided
            if model.again:
                self.hits["appended again"] += model.again
            if model.behind:
                self.hits["behind a missing record"] += model.behind
            if model.codes.get("poisoned"):
                self.hits["poison put aside"] += 1
            if self.network.log.range((self.topics.journal, partition))[0]:
                self.hits["journal trimmed"] += 1
            if self.network.log.range((self.topics.snapshot, partition))[1] > 2:
                self.hits["snapshots taken"] += 1

    def _something(self) -> None:
        """One thing goes on, whichever."""
        random = self.random
        roll = random.random()
        if roll < 0.25:
            self._deliver()
        elif roll < 0.4:
            client = random.choice(self.clients)
            if self.plan.plain and random.random() < 0.2:
                client.flood(self.step)
                self.hits["many plain turns"] += 1
            elif random.random() < 0.6:
                call = client.new_call(self.step)
                self.note(f"{call.op} ({call.mode}): {call.envelope.handler} to {call.envelope.target}")
            else:
                client.step(self.step)
        else:
            process = random.choice(self.processes)
            if not process.alive:
                if process.restart_at <= self._now:
                    process.start()
                    self.note(f"{process.node} starts")
            elif process.paused_until <= self._now:
                if random.random() < 0.5:
                    for phase in PHASES:
                        if process.alive:
                            process.step(phase)
                else:
                    process.step(random.choice(PHASES))

    def _feed(self, feeding: Feeding) -> None:
        """A record comes to the source, some process goes on with its ingest."""
        if feeding.random.random() < self.plan.fed:
            feeding.record()
        process = feeding.random.choice(self.processes)
        if process.paused_until <= self._now and feeding.random.random() < 0.5:
            feeding.step(process)

    def _deliver(self) -> None:
        random = self.random
        self.network.end_late()
        if self.network.stalled or random.random() < self.plan.slow:
            return
        for flow in self.network.ready():
            if random.random() < 0.6:
                orphan = flow.sender.ended
                place = flow.place
                self.network.deliver(flow, random.randint(1, 3))
                if orphan:
                    self.hits["appended for a dead sender"] += 1
                    self.note(f"{place[0]}[{place[1]}] gets records of {flow.sender.name}, which has ended")

    # Faults

    def _fault(self) -> None:
        random, p, network = self.random, self.plan, self.network
        if random.random() < p.reassign:
            self._assign()
        if random.random() < p.crash:
            self._crash(random.choice(self.processes))
        if p.burst or p.stop:
            self._ends()
        if random.random() < p.pause:
            process = random.choice(self.processes)
            process.paused_until = self._now + random.choice((20, 100, 400))
            self.hits["paused"] += 1
            self.note(f"{process.node} is paused until {process.paused_until - _START} ms")
            if random.random() < 0.7:
                self._assign(without=process)
        if random.random() < p.fail:
            process = random.choice(self.processes)
            if process.alive:
                process.sender.fail(p.late)
                self.note(f"{process.node}: its appender fails")
        if random.random() < 3 * p.fail:
            process = random.choice(self.processes)
            if process.alive and process.sender.places and not process.sender.broken:
                place = random.choice(process.sender.places)
                process.sender.fail_place(place)
                self.hits["a place fails"] += 1
                self.note(f"{process.node}: its appender fails at {place}")
        if random.random() < p.fail:
            client = random.choice(self.clients)
            client.sender.fail(p.late)
            self.note(f"{client.name}: its appender fails")
        if random.random() < p.jump:
            process = random.choice(self.processes)
            process.skew = random.choice((-1000, -50, 0, 50, 700))
            self.note(f"the clock of {process.node} is off by {process.skew} ms")
        if random.random() < p.wipe:
            process = random.choice(self.processes)
            if not process.alive:
                for store in process.stores.values():
                    store.pieces.clear()
                self.note(f"the stores of {process.name} are deleted")
        if p.mix:
            self._mix()
        if random.random() < p.compact:
            for partition in range(p.partitions):
                network.compact((self.topics.snapshot, partition))
            self.hits["compacted"] += 1
        if random.random() < p.full:
            process = random.choice(self.processes)
            process.fill_disk(not process.full)
            self.hits["a disk is full"] += process.full
            self.note(f"{process.name}: its disk is {'full' if process.full else 'usable'}")
        if random.random() < p.stuck:
            topic = random.choice((self.topics.mailbox, self.topics.mailbox, self.topics.reply))
            network.stuck.add((topic, random.randrange(p.partitions)))
            self.hits["a partition is stuck"] += 1
            self.note(f"stuck: {sorted(network.stuck)}")
        elif network.stuck and random.random() < 0.03:
            network.stuck.discard(random.choice(sorted(network.stuck)))
            self.note(f"stuck: {sorted(network.stuck)}")
        if random.random() < p.duplicates / 5:
            random.choice(self.clients).repeat_old()
        if p.away and random.random() < p.away:
            self._leader_away()
        if network.stalled:
            if random.random() < 0.1:
                self._restart_brokers()
        elif random.random() < p.stall:
            network.stalled = True
            self.hits["brokers away"] += 1
            self.note("the brokers are away")

    def _mix(self) -> None:
        """Somebody copies folders of state stores, and later puts them where they do not belong."""
        for process in self.processes:
            if self.mixer.happens(self.plan.mix):
                self.mixer.keep(process)

    def _mistake_stores(self, process: SimProcess) -> None:
        """A process begins with stores that are not its own."""
        if self.plan.mix and self.mixer.happens(0.7) and (what := self.mixer.mix(process)):
            self.hits["a store of another history"] += 1
            self.note(what)

    def _ends(self) -> None:
        """Processes that die several times in a row, and some that end in good order."""
        random = self.random
        if random.random() < self.plan.burst:
            random.choice(self.processes).doomed = random.randint(2, 6)
            self.hits["several crashes in a row"] += 1
        for process in self.processes:
            soon = 0.15 if process.serves() else 0.02
            if process.doomed and process.alive and random.random() < soon:
                process.doomed -= 1
                self._crash(process)
                process.restart_at = self._now + random.choice((0, 0, 10))
        if random.random() < self.plan.stop:
            random.choice(self.processes).stopping = True

    def _leader_away(self) -> None:
        """One partition is without a leader for a while; the others go on."""
        away = self.network.away
        if away:
            away.clear()
        else:
            away.add(self.random.randrange(self.plan.partitions))
            self.hits["one partition away"] += 1
        self.note(f"partitions without a leader: {sorted(away)}")

    def _restart_brokers(self) -> None:
        """The brokers are back; some of those who waited have given up."""
        self.network.stalled = False
        self.note("the brokers are back")
        for process in self.processes:
            if process.alive and self.random.random() < 0.4:
                process.sender.fail(self.plan.late)

    def _crash(self, process: SimProcess) -> None:
        if process.alive:
            lose = self.random.choice(("nothing", "nothing", "something", "everything"))
            self.hits[f"crash, losing {lose}"] += 1
            process.crash(lose, self.plan.late, self._now + self.random.choice((0, 10, 100, 500)))
            self._mistake_stores(process)

    def _assign(self, without: SimProcess | None = None) -> None:
        """A new assignment; it need not be right."""
        random = self.random
        wanted: dict[str, set[int]] = {p.name: set() for p in self.processes}
        for partition in range(self.plan.partitions):
            for process in random.choices(self.processes, k=random.choice((0, 1, 1, 1, 1, 2))):
                wanted[process.name].add(partition)
        for process in self.processes:
            if process is without:
                continue  # it does not hear of it
            process.wanted = frozenset(wanted[process.name])
        self.note("assigned " + ", ".join(f"{name}: {sorted(w)}" for name, w in wanted.items()))

    # The end

    def _heal(self) -> None:
        """No more faults: everyone runs, everything arrives, each partition has one owner."""
        self.note("the faults stop")
        network = self.network
        network.stalled = False
        network.away.clear()
        network.stuck.clear()
        flying.WINDOW = relay.KEPT = 1 << 20  # probes of deadlocks would pile up for ever
        network.odds_astray = 0.0
        network.odds_no_offset = network.odds_commit = network.odds_unknown_offset = network.odds_answer = 0.0
        for process in self.processes:
            process.fill_disk(False)
            process.paused_until = 0
            process.skew = process.doomed = 0
            if not process.alive:
                process.start()
            process.wanted = frozenset()
        for partition in range(self.plan.partitions):
            process = self.random.choice(self.processes)
            process.wanted |= {partition}
        self.note("assigned " + ", ".join(f"{p.name}: {sorted(p.wanted)}" for p in self.processes))

    def _settle(self, when: str) -> None:
        """Run without faults until nothing is left to do; it must not take for ever.

        What is left after a while waits for its time. It must not wait for anything else, and then has it.
        """
        began, quiet, pause, looked = self._now, 0, _ROUND, False
        for client in self.clients:
            client.repeats = True
        for _ in range(_ROUNDS):
            self._round(pause)
            if self._at_rest():
                return
            quiet = 0 if self._moved() else quiet + 1
            if quiet % _LOOKS_FOR_PAUSED == 1:
                self._resume_paused()
            pause = min(2 * pause, _PATIENT if looked else 1000) if quiet > 10 else _ROUND
            if self._now - began > _SOON and not looked:
                for client in self.clients:
                    client.repeats = False
                if quiet > _QUIET:
                    liveness.check(self._checks(), self._now)
                    self.hits["waits for its time alone"] += 1
                    looked = True
        raise Violation(f"{when} nothing comes to rest: {self._restless()}")

    def _resume_paused(self) -> None:
        """Let go on what is still paused: a resume that named nobody may have meant another handler."""
        for process in self.processes:
            for found in process.drivers.values() if process.alive else ():
                live = found.processor.invocations.live if found.processor is not None else {}
                for inv in (inv for of in live.values() for inv in of.values() if inv.paused):
                    self.clients[0].resume(inv.address, inv.number, self.step)
                    self.hits["resumed by its number"] += 1

    def _round(self, pause: int) -> None:
        self.step += 1
        self._now += pause
        self.network.end_late()
        for flow in self.network.ready():
            self.network.deliver(flow, 100)
        for process in self.processes:
            for phase in PHASES:
                if process.alive:
                    process.step(phase)
            if not process.alive and process.restart_at <= self._now:
                process.start()
            if self.feeding is not None:
                self.feeding.step(process)
        for client in self.clients:
            client.step(self.step)

    def _moved(self) -> bool:
        """Whether the log has got something since the last call, other than marks and looks for circles.

        Or somebody has come further in a journal that has to be read before the rest goes on.
        """
        history, log = self.network.history, self.network.log
        awaited = [d._awaited() for process in self.processes for d in process.drivers.values()]
        moved = any(awaited) and awaited != self._awaited
        self._awaited = awaited
        for topic, partitions in log.topics().items():
            if topic not in (self.topics.journal, self.topics.mailbox):
                end = sum(log.range((topic, partition))[1] for partition in range(partitions))
                moved = moved or end != self._seen[topic, -1]
                self._seen[topic, -1] = end
        for partition in range(self.plan.partitions):
            for topic, counts in ((self.topics.journal, _is_work), (self.topics.mailbox, _is_message)):
                records = history.get((topic, partition), [])
                for record in records[self._seen[topic, partition] :]:
                    moved = moved or counts(record)
                self._seen[topic, partition] = len(records)
        return moved

    def _checks(self) -> Checks:
        return Checks(self.network, self.topics, self.plan.partitions, self.clients)

    def _at_rest(self) -> bool:
        if any(flow.groups for flow in self.network.flows):
            return False
        if not all(client.idle() for client in self.clients):
            return False
        if self.feeding is not None and not self.feeding.idle(self.processes):
            return False
        return all(process.alive and process.idle() for process in self.processes)

    def _restless(self) -> str:
        flows = [(f.sender.name, f.place, len(f.groups)) for f in self.network.flows if f.groups]
        clients = [(c.name, [call.op for call in c.open]) for c in self.clients if not c.idle()]
        drivers: list[Any] = [
            (p.node, d.partition, d.phase, d.why, d.owed, d.reads_journal)
            for p in self.processes
            if not p.idle()
            for d in [*p.drivers.values(), *p.leaving.values()]
        ]
        waits: list[Any] = [
            (i.reference(), i.begin.handler, i.outstanding, i.paused, i.stuck, i.task is not None, i.steps)
            for p in self.processes
            for d in p.drivers.values()
            for found in (d.processor.invocations.live.values() if d.processor else ())
            for i in found.values()
        ]
        return f"flows {flows}, clients {clients}, drivers {drivers}, handlers {waits}"

    def _stores(self) -> list[list[Stored]]:
        """Copies of all stores, by partition, with the journal offset that each reflects."""
        found: list[list[Stored]] = [[] for _ in range(self.plan.partitions)]
        for process in self.processes:
            for driver_ in process.drivers.values():
                if driver_.upkeep is not None:
                    driver_.upkeep.flush(process.now())
            for partition, store in process.stores.items():
                offset = stored_offset(store)
                if offset is not None and partition not in process.strange:
                    copy = MemoryStore()
                    copy.pieces = dict(store.pieces)
                    found[partition].append((offset, copy, f"the store of {process.name}"))
        return found

    def _rebuild(self, stores: list[list[Stored]]) -> None:
        """Delete every store and let a new process take over: it must come to the same state."""
        self.note("every store is deleted")
        for process in self.processes:
            process.crash("everything", 0, 1 << 62)
        fresh = self._process("new")
        fresh.wanted = frozenset(range(self.plan.partitions))
        self.processes = [fresh]
        self._settle("after the stores were deleted")
        for driver_ in fresh.drivers.values():
            assert driver_.upkeep is not None
            driver_.upkeep.flush(fresh.now())
        for partition, store in fresh.stores.items():
            stores[partition].append((stored_offset(store) or 0, store, "a rebuilt store"))


def _is_work(record: Record) -> bool:
    """Whether a journal record is of something that ran, or is tried next."""
    found = decode_journal(record.value or b"")
    return type(found) is not Mark or found.attempt >= 0 or bool(found.timer)


def _is_message(record: Record) -> bool:
    """Whether a mailbox record is none of those that look for circles, again and again."""
    e = envelope(record)
    return e is None or e.handler not in (PROBE, FOUND)


def _last(came_to: list[Any]) -> Any:
    return came_to[-1]


@contextmanager
def shrunk(plan: Plan) -> Iterator[None]:
    """Make limits that are no settings as small as the plan wants, and silence the logs."""
    before = (takeover._LOAD_BATCH, outputs.MAX_TURNS, driver.MAX_BACKLOG, Pieces.forget_clean)
    bounds = flying.WINDOW, relay.KEPT, driver.MAX_LAG, restore.OWED
    flying.WINDOW, relay.KEPT, restore.OWED = plan.window, plan.kept, plan.kept
    pace = positions.POSITION_S, ingest.RETRY_S, subscribed.LOOK_S
    positions.POSITION_S, ingest.RETRY_S, subscribed.LOOK_S = 0.05, 0.02, 0.02
    if plan.settings.snapshot_batch < 50:
        driver.MAX_LAG = 1_000  # reading would wait for batches of one piece or three, round after round
    waits = {name: getattr(limits, name) for name in _WAITS}
    logger = logging.getLogger("plexstream")
    disabled = logger.manager.disable
    forget = Pieces.forget_clean
    takeover._LOAD_BATCH, outputs.MAX_TURNS, driver.MAX_BACKLOG = plan.load_batch, plan.lane_turns, 20
    for name, field in _WAITS.items():
        setattr(limits, name, getattr(plan, field))

    def forget_clean(self: Pieces, keep: int) -> None:
        forget(self, min(keep, plan.keep_cores))

    Pieces.forget_clean = forget_clean  # type: ignore[method-assign]
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        takeover._LOAD_BATCH, outputs.MAX_TURNS, driver.MAX_BACKLOG = before[:3]
        flying.WINDOW, relay.KEPT, driver.MAX_LAG, restore.OWED = bounds
        for name, value in waits.items():
            setattr(limits, name, value)
        positions.POSITION_S, ingest.RETRY_S, subscribed.LOOK_S = pace
        Pieces.forget_clean = before[3]  # type: ignore[method-assign]
