"""Handlers that wait for side effects, sleeps and one another: what each saw can be compared afterwards."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from plexstream import actor, handler, host, state, state_list

STEPS = 6
NAP = 0.05


def pay(order: str, step: int) -> str:
    """A side effect of another value each time it is run; what it did outlives the process."""
    token = uuid.uuid4().hex
    with Path(os.environ["FAULTS_PAID"]).open("a") as paid:
        paid.write(f"{order} {step} {token}\n")
    return token


async def pay_later(order: str, step: int) -> str:
    return pay(order, step)


@actor
class Order:
    tokens: list[str] = state(default_factory=list)
    runs: int = state(default=0)

    @handler("go")
    async def go(self) -> None:
        order = host.self_id()
        tokens = []
        for step in range(STEPS):
            token = await host.run(f"pay {step}", pay_later, order, step)
            await host.sleep(NAP)
            tokens.append(await host.ask(f"book/{order.replace('/', '-')}", "add", token=token))
        self.tokens = tokens
        self.runs += 1

    @handler("go_blocking")
    def go_blocking(self) -> None:
        order = host.self_id()
        tokens = []
        for step in range(STEPS):
            token = host.run(f"pay {step}", pay, order, step)
            host.sleep(NAP)
            tokens.append(host.ask(f"book/{order.replace('/', '-')}", "add", token=token))
        self.tokens = tokens
        self.runs += 1

    @handler("report", read_only=True)
    def report(self) -> dict[str, object]:
        return {"tokens": self.tokens, "runs": self.runs}


@actor
class Book:
    tokens: list[str] = state_list()

    @handler("add")
    def add(self, token: str) -> str:
        self.tokens.append(token)
        return token

    @handler("report", read_only=True)
    def report(self) -> list[str]:
        return list(self.tokens)
