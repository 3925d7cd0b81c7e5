"""One order, from the shop to the parcel, or to the refund."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect, until

from plexstream.model.errors import Rejected

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []


def play(stage: Stage, id: str) -> None:
    """Order; ids that begin with "cancelled" are, and those that begin with "greedy" want too much."""
    stage.outside.answer = lambda request: {"number": f"number of {request.key}"}
    order, stock = f"order/{id}", f"stock/{id}"
    count = 6 if id.startswith("greedy") else 2
    result = stage.start(order, "run", f"{id}-run", item=id, count=count, cents=4200)
    if count < 6:
        until("the charge", lambda: stage.outside.effects(order))
        signal = "cancel" if id.startswith("cancelled") else "packed"
        stage.ask(order, signal, f"{id}-{signal}")
    try:
        expect("the parcel", result.result(), {"number": f"number of {order}/parcels"})
        ended = "shipped"
    except Rejected as error:
        ended = error.detail

    released, refund = f"{stock} release", "refund"
    undone, left, reserved, effects = {
        "shipped": (None, 3, {order: 2}, ["charges", "parcels"]),
        "cancelled": ([refund, released], 5, {}, ["charges", "refunds"]),
        "greedy": ([], 5, {}, []),
    }[id.partition("-")[0]]
    reason = {"cancelled": "cancelled by the customer", "greedy": "only 5 left"}.get(id.partition("-")[0], "")
    what = "shipped" if undone is None else f"{reason}; undone: {', '.join(undone) or 'nothing to undo'}"
    expect("the end", ended, what)
    expect("the stock", stage.ask(stock, "get", f"{id}-get"), {"left": left, "reserved": reserved})
    expect("what was done outside", [request.what for request in stage.outside.effects(order)], effects)
