"""Who does the counter's work on Kafka: plexstream in two ways, and its peers."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench import jars, venvs
from bench.kafka import Run
from bench.processes import ROOT, Child
from bench.venvs import Unavailable
from bench.work import wrong

PEERS = ROOT / "bench" / "peers"

MAILBOX, FED = "plexstream", "plexstream, fed"
RAW, QUIX, STREAMS = "by hand", "Quix Streams", "Kafka Streams"
COUNTERS = (RAW, QUIX, STREAMS)
"""The peers of the counter."""


class Contender(NamedTuple):
    """One way to do the work, as a command that is told it by the environment.

    Attributes:
        mailbox: the work is put into the mailboxes, not into a plain topic.
        stall_s: how long it may go without any output before the run counts as failed.
    """

    name: str
    command: tuple[str, ...]
    mailbox: bool
    stall_s: float


class Job:
    """One repetition of the work by one contender: topics, state, the process."""

    def __init__(self, who: Contender, address: str, keys: int, **env: str) -> None:
        ident = f"bench-{uuid.uuid4().hex[:8]}"
        self.who = who
        self.run = Run(address, ident, keys, mailbox=who.mailbox)
        self._folder = tempfile.TemporaryDirectory(prefix="plexstream-bench-")
        self.state = Path(self._folder.name) / "state"
        self.state.mkdir()
        contract = {
            "BOOTSTRAP": address, "PEER_IN": self.run.source, "PEER_OUT": self.run.sink, "PEER_ID": ident,
            "PEER_STATE": str(self.state), "PEER_VARIANT": "eos", "PEER_COMMIT_MS": "100",
        }  # fmt: skip
        if who.mailbox:
            contract["PEER_MAILBOX"] = "1"
        self.child = Child(who.command, {**contract, **env}, Path(self._folder.name) / "log")

    def check(self, outputs: list[bytes]) -> None:
        """Raise RuntimeError unless every key's outputs are 1, 2, …, n."""
        fault = wrong(outputs, self.run.work.sent)
        if fault:
            raise RuntimeError(f"{self.who.name}: WRONG: {fault}")

    def close(self) -> None:
        """End the process, delete the topics and the state."""
        self.child.stop()
        self.run.close()
        self._folder.cleanup()


def find(skipped: Callable[[str, str], None]) -> list[Contender]:
    """All that can run here; `skipped` is called with the names of the others, and why."""
    own = (str(PEERS / "plexstream" / "run"),)
    found = [Contender(MAILBOX, own, True, 40), Contender(FED, own, False, 40)]
    for name, requirements, script in ((RAW, venvs.RAW, "raw_python.py"), (QUIX, venvs.QUIX, "quix.py")):
        try:
            found.append(Contender(name, (venvs.python(requirements), str(PEERS / script)), False, 90))
        except Unavailable as error:
            skipped(name, str(error))
    try:
        found.append(Contender(STREAMS, jars.command(), False, 90))
    except Unavailable as error:
        skipped(STREAMS, str(error))
    return found
