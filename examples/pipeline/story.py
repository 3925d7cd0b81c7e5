"""A batch of orders through three stages."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []
ORDERS = 3


def play(stage: Stage, id: str) -> None:
    """Order, and see that each order was shipped once, in its turn, with never more than two in between."""
    for queue in ("packing", "shipping"):
        stage.nouns(f"{id}-{queue}").queues.queue(f"{id}-{queue}").configure(bound=2)
    runs = [
        stage.start(f"{name}/{id}", "run", f"{id}-{name}", batch=id, orders=ORDERS)
        for name in ("shipping", "packing", "intake")
    ]
    stage.nouns(f"{id}-order").ts.write_many([["order", id, number] for number in range(ORDERS)])
    shipped, *_ = (run.result() for run in runs)
    expect("what was shipped", shipped, list(range(ORDERS)))
    expect("what the space has", stage.nouns("").ts.count([None, id, None]), ORDERS)
    for queue in ("packing", "shipping"):
        depth = stage.nouns("").queues.queue(f"{id}-{queue}").depth()
        expect(f"what {queue} has left", (depth["ready"], depth["in_flight"], depth["dead"]), (0, 0, 0))
