"""One batch of jobs, one of which breaks its worker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stage import Stage, expect, until

APP = Path(__file__).with_name("actors.py")
OPTIONS = ["--app", str(APP.with_name("app-config.toml"))]
WORKERS = ["ann", "bob"]
JOBS = [2, -1]  # one for ann, one for bob


def play(stage: Stage, id: str) -> None:
    """Let the batch be worked off, and see that the broken worker, and only that one, was started anew."""
    before = children(stage)
    batch = f"batch/{id}"
    stage.ask(batch, "start", f"{id}-start", jobs=JOBS, workers=WORKERS)
    until("the results", lambda: stage.look(batch, "get") == {str(job): job * job for job in JOBS if job > 0})
    until("a restart", lambda: started(stage, "bob") > before["bob"]["starts"])
    after = children(stage)
    expect("starts of bob", after["bob"]["starts"], before["bob"]["starts"] + 1)
    expect("starts of ann", after["ann"]["starts"], before["ann"]["starts"])
    expect("what bob has done since", stage.look("worker/bob", "get"), 0)


def children(stage: Stage) -> dict[str, Any]:
    """The supervisor's children by id, once all of them run."""

    def running() -> dict[str, Any]:
        rows = stage.look("supervisor/pool", "which_children") or []
        return {row["id"]: row for row in rows} if all(row["status"] == "running" for row in rows) else {}

    return until("the workers run", running)


def started(stage: Stage, child: str) -> int:
    """How often it was started."""
    rows = stage.look("supervisor/pool", "which_children") or []
    return next((row["starts"] for row in rows if row["id"] == child), 0)
