"""The actors of these tests: what they did can be counted, and what came twice or out of order shows."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from plexstream import actor, handler, host, state, state_map, subscribe

Numbers = dict[str, int]


@actor
class Ledger:
    """Keeps each entry under its id, tells its tally, and emits it."""

    count: int = state(default=0)
    doubles: int = state(default=0)
    disorder: int = state(default=0)
    entries: Numbers = state_map()
    latest: Numbers = state_map()

    @handler("add")
    def add(self, caller: str, number: int) -> dict[str, int]:
        id = f"{caller}.{number}"
        self.count += 1
        if id in self.entries:
            self.doubles += 1
        if self.latest.get(caller, -1) >= number:
            self.disorder += 1
        self.entries[id] = self.count
        self.latest[caller] = number
        ledger = host.self_id()
        host.tell(f"tally/{caller}", "note", ledger=ledger, count=self.count, number=number)
        host.tell("tally/all", "note", ledger=ledger, count=self.count, number=self.count)
        host.emit("entries", {"ledger": ledger, "id": id, "count": self.count}, key=id)
        return {"count": self.count}

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {
            "count": self.count,
            "doubles": self.doubles,
            "disorder": self.disorder,
            "entries": dict(self.entries),
        }


@actor
class Tally:
    """Is told of entries by ledgers; each ledger counts from 1 on."""

    total: int = state(default=0)
    disorder: int = state(default=0)
    latest: Numbers = state_map()
    counts: Numbers = state_map()

    @handler("note")
    def note(self, ledger: str, count: int, number: int) -> None:
        self.total += 1
        if count <= self.latest.get(ledger, 0):
            self.disorder += 1
        self.latest[ledger] = count
        self.counts[ledger] = self.counts.get(ledger, 0) + 1

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {"total": self.total, "disorder": self.disorder, "counts": dict(self.counts)}


@subscribe(os.environ.get("FAULTS_TOPIC", "faults-source"), handler="take", key="id")
@actor
class Sink:
    """Fed from a topic that exists already."""

    taken: int = state(default=0)

    @handler("take")
    def take(self, id: str, text: str = "") -> None:
        self.taken += 1

    @handler("report", read_only=True)
    def report(self) -> int:
        return self.taken


@actor
class Trouble:
    """Does what handlers should not."""

    count: int = state(default=0)

    @handler("slow")
    def slow(self, seconds: float, text: str = "") -> int:
        time.sleep(seconds)
        self.count += 1
        return self.count

    @handler("exit")
    def exit(self) -> None:
        os._exit(7)

    @handler("kill")
    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    @handler("raises")
    def raises(self) -> None:
        raise ValueError("on purpose")

    @handler("large")
    def large(self, size: int, what: str) -> Any:
        """Give out `size` bytes in one of the ways out."""
        text = "x" * size
        self.count += 1
        if what == "tell":
            host.tell("trouble/receiver", "receive", text=text)
        elif what == "emit":
            host.emit("large", text)
        elif what == "many":
            for _ in range(20):
                host.tell("trouble/receiver", "receive", text=text)
        return text if what == "result" else self.count

    @handler("receive")
    def receive(self, text: str) -> None:
        self.count += 1

    @handler("report", read_only=True)
    def report(self) -> int:
        return self.count
