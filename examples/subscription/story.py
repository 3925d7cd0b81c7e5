"""One subscription, from its start until it ends by itself."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect, until

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []
MONTHS = 2
PRICE = 999


def play(stage: Stage, id: str) -> None:
    """Start it, and look at what was charged when its months are over."""
    stage.outside.answer = lambda request: {"receipt": f"receipt of {request.key}"}
    subscription = f"subscription/{id}"
    stage.ask(subscription, "start", f"{id}-start", price=PRICE, months=MONTHS)
    keys = [f"{subscription}/{month}" for month in range(1, MONTHS + 1)]
    receipts = [f"receipt of {key}" for key in keys]
    until("it ends", lambda: (stage.look(subscription, "get") or {}).get("receipts") == receipts)
    expect("its end", stage.look(subscription, "get"), {"receipts": receipts, "pending": []})
    charges = stage.outside.effects(subscription)
    expect("the months charged", [request.key for request in charges], keys)
    expect("the prices charged", [request.body["price"] for request in charges], [PRICE] * MONTHS)
