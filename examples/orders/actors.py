"""Orders: goods are reserved and paid, then packed and shipped, or all of that is undone."""

import os

import httpx

from plexstream import (
    Reject,
    Retry,
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    workflow,
)

OUTSIDE = os.environ.get("OUTSIDE", "http://localhost:9000")
PATIENT = Retry(attempts=20)


@workflow
class Order:
    status: str = state(default="new")

    @run_handler
    async def run(self, item: str, count: int, cents: int) -> dict:
        """Fulfil the order. A refusal, or the customer's `cancel`, undoes what was done, the latest first."""
        order = host.self_id()
        async with host.saga() as saga:
            await host.ask(f"stock/{item}", "reserve", order=order, count=count)
            saga.ask(f"stock/{item}", "release", order=order)
            # First, since a charge that fails may have been made all the same.
            saga.add("refund", post, "refunds", order, cents, retry=PATIENT)
            await host.run("charge", post, "charges", order, cents, retry=PATIENT)
            self.status = "paid"
            what, _ = await host.select(packed=host.promise("packed"), cancelled=host.promise("cancelled"))
            if what == "cancelled":
                raise Reject("cancelled by the customer")
            parcel = await host.run("ship", post, "parcels", order, count, retry=PATIENT)
        self.status = "shipped"
        return parcel

    @signal_handler()
    def packed(self) -> None:
        host.promise("packed").resolve(True)

    @signal_handler()
    def cancel(self) -> None:
        """Heard until the order is packed."""
        host.promise("cancelled").resolve(True)

    @query_handler("get")
    def get(self) -> str:
        return self.status


@actor
class Stock:
    left: int = state(default=5)
    reserved: dict[str, int] = state(default_factory=dict)

    @handler("reserve")
    def reserve(self, order: str, count: int) -> None:
        if count > self.left:
            raise Reject(f"only {self.left} left")
        self.left -= count
        self.reserved[order] = count

    @handler("release")
    def release(self, order: str) -> None:
        self.left += self.reserved.pop(order)

    @handler("get", read_only=True)
    def get(self) -> dict:
        return {"left": self.left, "reserved": self.reserved}


def post(what: str, order: str, amount: int) -> dict:
    """May be called again after a crash: the systems outside know by the key that it is the same."""
    headers = {"idempotency-key": f"{order}/{what}"}
    answer = httpx.post(f"{OUTSIDE}/{what}", json={"amount": amount}, headers=headers)
    done: dict = answer.raise_for_status().json()
    return done
