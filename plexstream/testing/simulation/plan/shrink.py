"""Limits that are no settings, as small as a plan wants them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from plexstream.node.ingest.sources import positions, sources, subscribed
from plexstream.node.lanes import outputs
from plexstream.node.partition.outgoing import relay
from plexstream.node.partition.service import flow
from plexstream.node.partition.takeover import loading
from plexstream.node.shared import flying
from plexstream.processor.journal import restore
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.waiting import limits
from plexstream.testing.simulation.plan.plan import Plan

_WAITS = {
    "KEPT_TASKS": "kept_tasks", "PARK_AFTER": "park_after", "RUN_ANNOUNCED": "announced_after",
    "PROBE_AFTER": "probe_after",
}  # fmt: skip
"""Limits of handlers that wait, and what the plan calls them."""


@contextmanager
def shrunk(plan: Plan) -> Iterator[None]:
    """Make limits that are no settings as small as the plan wants, and silence the logs."""
    before = (loading._LOAD_BATCH, outputs.MAX_TURNS, flow.MAX_BACKLOG, Pieces.forget_clean)
    bounds = flying.WINDOW, relay.KEPT, flow.MAX_LAG, restore.OWED
    flying.WINDOW, relay.KEPT, restore.OWED = plan.window, plan.kept, plan.kept
    pace = positions.POSITION_S, sources.RETRY_S, subscribed.LOOK_S
    positions.POSITION_S, sources.RETRY_S, subscribed.LOOK_S = 0.05, 0.02, 0.02
    if plan.settings.snapshot_batch < 50:
        flow.MAX_LAG = 1_000  # reading would wait for batches of one piece or three, round after round
    waits = {name: getattr(limits, name) for name in _WAITS}
    logger = logging.getLogger("plexstream")
    disabled = logger.manager.disable
    forget = Pieces.forget_clean
    loading._LOAD_BATCH, outputs.MAX_TURNS, flow.MAX_BACKLOG = plan.load_batch, plan.lane_turns, 20
    for name, field in _WAITS.items():
        setattr(limits, name, getattr(plan, field))

    def forget_clean(self: Pieces, keep: int) -> None:
        forget(self, min(keep, plan.keep_cores))

    Pieces.forget_clean = forget_clean  # type: ignore[method-assign]
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        loading._LOAD_BATCH, outputs.MAX_TURNS, flow.MAX_BACKLOG = before[:3]
        flying.WINDOW, relay.KEPT, flow.MAX_LAG, restore.OWED = bounds
        for name, value in waits.items():
            setattr(limits, name, value)
        positions.POSITION_S, sources.RETRY_S, subscribed.LOOK_S = pace
        Pieces.forget_clean = before[3]  # type: ignore[method-assign]
