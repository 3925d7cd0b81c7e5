"""A worker with what feeds it: one to a process on Kafka, one beside the edge on an embedded log."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from plexstream.blobs.objects import NOWHERE, Objects, Target
from plexstream.blobs.steps import InSteps
from plexstream.coordination import system_type
from plexstream.hosts.load import Loaded
from plexstream.hosts.native import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.log.base import Log
from plexstream.log.installation import Control, id_of
from plexstream.model.process.threads import Lasting, unwell
from plexstream.model.topics.topics import Topics
from plexstream.node.ingest.ingest import Ingest
from plexstream.node.ingest.spaces import Fed
from plexstream.node.worker.health.pulse import Pulse
from plexstream.node.worker.worker import Worker
from plexstream.processor import Settings

_log = logging.getLogger("plexstream.node")

STOP_S = 5.0
"""How long a worker is waited for. It may be in a handler that never ends, unless the process does."""


def tune_interpreter() -> None:
    """Settings of the interpreter for a worker.

    Turns in flight are many small tuples without cycles: at the default threshold of 700 the collector took
    23 % of the CPU looking at them. Threads hand over the interpreter after 1 ms instead of 5, as the lanes'
    thread works in between turns and callers wait meanwhile.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    sys.setswitchinterval(0.001)


class Unit:
    """Runs actors of the partitions it is assigned, on a thread of its own.

    Parameters:
        log: open, and left open at the end.
        app: the actor types.
        state_dir: where the state stores are.
        name: the node's, in claims.
        max_message: bytes of one payload.
        control: what the installation says of itself, where that is known.
        long_s: seconds after which a handler that runs is told.
        stuck_s: seconds after which the unit is not ready because of it.
        spaces: that topics feed.
        blobs: the object store.
        ended: called when the worker's thread has ended, with what went wrong, if anything.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        partitions: int,
        app: Loaded,
        settings: Settings,
        state_dir: Path,
        name: str,
        max_message: int,
        ended: Callable[[BaseException | None], None] = lambda _: None,
        control: Control | None = None,
        long_s: float = 5.0,
        stuck_s: float = 30.0,
        spaces: Sequence[Fed] = (),
        blobs: Target = NOWHERE,
    ) -> None:
        self._log = log
        self._topics = topics
        self._partitions = partitions
        control = control or Control(log, topics)
        types, salt = {**app.types, **SYSTEM_TYPES}, id_of(control.entries())
        host = NativeHost(
            types, app.version, max_message=max_message, salt=salt, more=system_type,
            blobs=InSteps(Objects(blobs)),
        )  # fmt: skip
        self.worker = Worker(log, topics, partitions, host, settings, state_dir, name, control=control)
        self.ingest = Ingest(log, topics, partitions, app.types, max_message, spaces=spaces)
        self._ended = ended
        self.pulse = Pulse(lambda: self.worker.rounds, self.worker.turn, long_s, stuck_s)
        self.held_up = ""
        self._over = False
        self.thread = Lasting("worker", self._run, lambda: self._over)

    def start(self) -> None:
        """Begin to work on what is assigned."""
        tune_interpreter()
        self.thread.start()
        self.ingest.start()

    def _run(self) -> None:
        try:
            self.worker.run()
        except BaseException as error:  # what it holds is in an unknown state: the node ends
            self._over = True
            self._ended(error)
        else:
            self._over = True
            self._ended(None)

    def assign(self, partitions: Iterable[int], known: bool = True) -> None:
        """The mailbox partitions to have from now on. Not `known`: the unit is no member of its group now."""
        assigned = frozenset(partitions)
        wanted = frozenset(p for p in assigned if p < self._partitions)
        if beyond := sorted(assigned - wanted):
            # The group's members are given whatever the topic has.
            _log.error(
                "partitions were added to %s: %s are none of this installation, which has %d; nothing is "
                "sent to them, and nothing read. A node or client that starts now refuses until somebody "
                "has said `plexstream topics apply --partitions %d`",
                self._topics.mailbox, beyond, self._partitions, self._partitions,
            )  # fmt: skip
        self.worker.assign(wanted, known)
        self.ingest.assign(wanted)

    def stop(self) -> None:
        """Finish what is in progress, hand over every partition, end."""
        self.worker.stop()
        self.ingest.stop()
        self.thread.join(STOP_S)

    def look(self) -> None:
        """To be called a few times a second: sees whether the worker goes on."""
        self.held_up = self.pulse.look() if self.thread.is_alive() else ""

    def why(self) -> list[str]:
        """What it lacks to be ready; empty when it is."""
        if not self.thread.is_alive():
            return ["the worker's thread does not run"]
        threads = [self.thread, self.ingest.thread, *self.worker.threads()]
        failed = [f"thread {name} fails" for name in unwell(threads)]
        return [*self.worker.why(), *failed, *([self.held_up] if self.held_up else [])]

    def status(self) -> dict[str, Any]:
        """Partitions and sources, for people and metrics."""
        why = self.why()
        running = self.pulse.running
        return {
            "ready": not why,
            "why": why,
            "running": None if running is None else running._asdict(),
            "partitions": [s._asdict() for s in self.worker.status()],
            "effects": self.worker.effects(),
            "sources": [[topic, q, next] for (topic, q), next in self.ingest.positions().items()],
            "subscribed": self.ingest.topics(),
        }
