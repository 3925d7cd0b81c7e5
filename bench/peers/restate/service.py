"""The durable row's two handlers with Restate's Python SDK, as an ASGI application."""

from typing import Any

import restate

tally = restate.VirtualObject("tally")
trip = restate.VirtualObject("trip")


@tally.handler()
async def add(ctx: restate.ObjectContext, order: dict[str, Any]) -> int:
    """One more; returns how many."""
    count: int = (await ctx.get("count") or 0) + order["amount"]
    ctx.set("count", count)
    return count


@trip.handler()
async def steps(ctx: restate.ObjectContext, order: dict[str, Any]) -> int:
    """Three side effects that take no time."""
    amount: int = order["amount"]
    for name in ("first", "second", "third"):
        amount = await ctx.run_typed(name, one_more, amount=amount)
    return amount


def one_more(amount: int) -> int:
    """A side effect."""
    return amount + 1


app = restate.app([tally, trip])
