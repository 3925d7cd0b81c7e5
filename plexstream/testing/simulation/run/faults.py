"""What befalls a simulated installation while its schedule lasts, and how that ends."""

from __future__ import annotations

from plexstream.node.partition.outgoing import relay
from plexstream.node.shared import flying
from plexstream.testing.simulation.process.lives import Mixer
from plexstream.testing.simulation.process.process import SimProcess
from plexstream.testing.simulation.run.world import START, World


class Faults:
    """Every fault that a plan has, at its rate.

    Parameters:
        mixer: takes state stores from one place to another.
    """

    def __init__(self, world: World, mixer: Mixer) -> None:
        self._world = world
        self._mixer = mixer

    def happen(self) -> None:
        """What befalls it in one step."""
        random, p, network = self._world.random, self._world.plan, self._world.network
        if random.random() < p.reassign:
            self.assign()
        if random.random() < p.crash:
            self._crash(random.choice(self._world.processes))
        if p.burst or p.stop:
            self._ends()
        if random.random() < p.pause:
            process = random.choice(self._world.processes)
            process.paused_until = self._world.now + random.choice((20, 100, 400))
            self._world.hits["paused"] += 1
            self._world.note(f"{process.node} is paused until {process.paused_until - START} ms")
            if random.random() < 0.7:
                self.assign(without=process)
        if random.random() < p.fail:
            process = random.choice(self._world.processes)
            if process.alive:
                process.sender.fail(p.late)
                self._world.note(f"{process.node}: its appender fails")
        if random.random() < 3 * p.fail:
            process = random.choice(self._world.processes)
            if process.alive and process.sender.places and not process.sender.broken:
                place = random.choice(process.sender.places)
                process.sender.fail_place(place)
                self._world.hits["a place fails"] += 1
                self._world.note(f"{process.node}: its appender fails at {place}")
        if random.random() < p.fail:
            client = random.choice(self._world.clients)
            client.sender.fail(p.late)
            self._world.note(f"{client.name}: its appender fails")
        if random.random() < p.jump:
            process = random.choice(self._world.processes)
            process.skew = random.choice((-1000, -50, 0, 50, 700))
            self._world.note(f"the clock of {process.node} is off by {process.skew} ms")
        if random.random() < p.wipe:
            process = random.choice(self._world.processes)
            if not process.alive:
                for store in process.disk.stores.values():
                    store.delete()
                self._world.note(f"the stores of {process.name} are deleted")
        if p.mix:
            self._mix()
        if random.random() < p.compact:
            for partition in range(p.partitions):
                network.compact((self._world.topics.snapshot, partition))
            self._world.hits["compacted"] += 1
        if random.random() < p.full:
            process = random.choice(self._world.processes)
            process.disk.fill(not process.disk.full)
            self._world.hits["a disk is full"] += process.disk.full
            self._world.note(f"{process.name}: its disk is {'full' if process.disk.full else 'usable'}")
        if random.random() < p.stuck:
            topics = self._world.topics
            topic = random.choice((topics.mailbox, topics.mailbox, topics.reply))
            network.stuck.add((topic, random.randrange(p.partitions)))
            self._world.hits["a partition is stuck"] += 1
            self._world.note(f"stuck: {sorted(network.stuck)}")
        elif network.stuck and random.random() < 0.03:
            network.stuck.discard(random.choice(sorted(network.stuck)))
            self._world.note(f"stuck: {sorted(network.stuck)}")
        if random.random() < p.duplicates / 5:
            random.choice(self._world.clients).repeat_old()
        if p.away and random.random() < p.away:
            self._leader_away()
        if network.stalled:
            if random.random() < 0.1:
                self._restart_brokers()
        elif random.random() < p.stall:
            network.stalled = True
            self._world.hits["brokers away"] += 1
            self._world.note("the brokers are away")

    def _mix(self) -> None:
        """Somebody copies folders of state stores, and later puts them where they do not belong."""
        for process in self._world.processes:
            if self._mixer.happens(self._world.plan.mix):
                self._mixer.keep(process)

    def _mistake_stores(self, process: SimProcess) -> None:
        """A process begins with stores that are not its own."""
        if self._world.plan.mix and self._mixer.happens(0.7) and (what := self._mixer.mix(process)):
            self._world.hits["a store of another history"] += 1
            self._world.note(what)

    def _ends(self) -> None:
        """Processes that die several times in a row, and some that end in good order."""
        random = self._world.random
        if random.random() < self._world.plan.burst:
            random.choice(self._world.processes).doomed = random.randint(2, 6)
            self._world.hits["several crashes in a row"] += 1
        for process in self._world.processes:
            soon = 0.15 if process.serves() else 0.02
            if process.doomed and process.alive and random.random() < soon:
                process.doomed -= 1
                self._crash(process)
                process.restart_at = self._world.now + random.choice((0, 0, 10))
        if random.random() < self._world.plan.stop:
            random.choice(self._world.processes).stopping = True

    def _leader_away(self) -> None:
        """One partition is without a leader for a while; the others go on."""
        away = self._world.network.away
        if away:
            away.clear()
        else:
            away.add(self._world.random.randrange(self._world.plan.partitions))
            self._world.hits["one partition away"] += 1
        self._world.note(f"partitions without a leader: {sorted(away)}")

    def _restart_brokers(self) -> None:
        """The brokers are back; some of those who waited have given up."""
        self._world.network.stalled = False
        self._world.note("the brokers are back")
        for process in self._world.processes:
            if process.alive and self._world.random.random() < 0.4:
                process.sender.fail(self._world.plan.late)

    def _crash(self, process: SimProcess) -> None:
        if process.alive:
            lose = self._world.random.choice(("nothing", "nothing", "something", "everything"))
            self._world.hits[f"crash, losing {lose}"] += 1
            back = self._world.now + self._world.random.choice((0, 10, 100, 500))
            process.crash(lose, self._world.plan.late, back)
            self._mistake_stores(process)

    def assign(self, without: SimProcess | None = None) -> None:
        """A new assignment; it need not be right."""
        random = self._world.random
        wanted: dict[str, set[int]] = {p.name: set() for p in self._world.processes}
        for partition in range(self._world.plan.partitions):
            for process in random.choices(self._world.processes, k=random.choice((0, 1, 1, 1, 1, 2))):
                wanted[process.name].add(partition)
        for process in self._world.processes:
            if process is without:
                continue  # it does not hear of it
            process.wanted = frozenset(wanted[process.name])
        self._world.note("assigned " + ", ".join(f"{name}: {sorted(w)}" for name, w in wanted.items()))

    def end(self) -> None:
        """No more faults: everyone runs, everything arrives, each partition has one owner."""
        self._world.note("the faults stop")
        network = self._world.network
        network.stalled = False
        network.away.clear()
        network.stuck.clear()
        flying.WINDOW = relay.KEPT = 1 << 20  # probes of deadlocks would pile up for ever
        network.odds_astray = network.odds_misled = 0.0
        network.odds_no_offset = network.odds_commit = network.odds_unknown_offset = network.odds_answer = 0.0
        for process in self._world.processes:
            process.disk.fill(False)
            process.paused_until = 0
            process.skew = process.doomed = 0
            if not process.alive:
                process.start()
            process.wanted = frozenset()
        for partition in range(self._world.plan.partitions):
            process = self._world.random.choice(self._world.processes)
            process.wanted |= {partition}
        assigned = ", ".join(f"{p.name}: {sorted(p.wanted)}" for p in self._world.processes)
        self._world.note(f"assigned {assigned}")
