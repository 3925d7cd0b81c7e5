"""The actors of the cluster tests: what is lost, comes twice, or comes out of order, shows in their state."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

from plexstream import actor, handler, host, run_handler, state, state_list, state_map, subscribe, workflow

START = 1000
NAP = 0.05
SOURCE = os.environ.get("CLUSTER_SOURCE", "source")
PAID = os.environ.get("CLUSTER_PAID", "paid.txt")

Times = dict[str, int]  # how often, by the id of an operation


@actor
class Account:
    balance: int = state(default=START)
    debits: Times = state_map()
    credits: Times = state_map()

    @handler("debit")
    def debit(self, id: str, amount: int) -> int:
        self.balance -= amount
        self.debits[id] = self.debits.get(id, 0) + 1
        return self.balance

    @handler("credit")
    def credit(self, id: str, amount: int) -> int:
        self.balance += amount
        self.credits[id] = self.credits.get(id, 0) + 1
        return self.balance

    @handler("transfer")
    def transfer(self, id: str, to: str, amount: int) -> int:
        host.tell(to, "credit", id=id, amount=amount)
        return self.debit(id, amount)

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {"balance": self.balance, "debits": dict(self.debits), "credits": dict(self.credits)}


@actor
class Teller:
    """Moves money as one who waits for both accounts."""

    @handler("transfer")
    async def transfer(self, id: str, source: str, to: str, amount: int) -> str:
        await host.ask(source, "debit", id=id, amount=amount)
        await host.ask(to, "credit", id=id, amount=amount)
        return id


@actor
class Bag:
    elements: Times = state_map()

    @handler("add")
    def add(self, element: str) -> int:
        self.elements[element] = self.elements.get(element, 0) + 1
        return len(self.elements)

    @handler("report", read_only=True)
    def report(self) -> dict[str, int]:
        return dict(self.elements)


@actor
class Row:
    entries: list[str] = state_list()

    @handler("append")
    def append(self, entry: str) -> int:
        self.entries.append(entry)
        host.emit("rows", {"row": host.self_id(), "n": len(self.entries), "entry": entry})
        return len(self.entries)

    @handler("report", read_only=True)
    def report(self) -> list[str]:
        return list(self.entries)


def pay(order: str) -> str:
    """A side effect of another value each time it is run; what it did outlives the process."""
    token = uuid.uuid4().hex
    with Path(PAID).open("a") as paid:
        paid.write(f"{order} {token}\n")
    return token


@workflow
class Order:
    @run_handler
    async def run(self, book: str) -> str:
        token = await host.run("pay", pay, host.self_id())
        await host.sleep(NAP)
        await host.ask(book, "note", order=host.self_id(), token=token)
        return token


@actor
class Book:
    notes: list[list[str]] = state_list()

    @handler("note")
    def note(self, order: str, token: str) -> None:
        self.notes.append([order, token])

    @handler("report", read_only=True)
    def report(self) -> list[list[str]]:
        return list(self.notes)


@actor
class Clock:
    due: Times = state_map()
    fired: Times = state_map()
    early: int = state(default=0)

    @handler("set")
    def set(self, id: str, delay: float) -> None:
        self.due[id] = host.now() + round(delay * 1000)
        host.send_after(delay, "fire", id=id)

    @handler("fire")
    def fire(self, id: str) -> None:
        self.fired[id] = self.fired.get(id, 0) + 1
        self.early += host.now() < self.due[id]

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {"due": dict(self.due), "fired": dict(self.fired), "early": self.early}


@subscribe(SOURCE, key="sink", handler="take")
@actor
class Sink:
    numbers: list[int] = state_list()

    @handler("take")
    def take(self, sink: str, number: int) -> None:
        self.numbers.append(number)

    @handler("report", read_only=True)
    def report(self) -> list[int]:
        return list(self.numbers)
