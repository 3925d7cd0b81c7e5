"""One batch of jobs, and three workers who want them all."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []
JOBS = 4
WORKERS = ["ann", "bob", "cem"]


def play(stage: Stage, id: str) -> None:
    """Post the jobs, let all work at the same time, and see that each job was done once."""
    stage.nouns(f"{id}-post").ts.write_many([["job", id, number] for number in range(JOBS)])
    works = [stage.start(f"worker/{id}-{name}", "work", f"{id}-{name}", batch=id) for name in WORKERS]
    expect("jobs that were done", sum(work.result() for work in works), JOBS)
    done = stage.nouns(f"{id}-done").ts.read_all(["done", id, None, None, None])
    expect("results", sorted(row[2:4] for row in done), [[n, n * n] for n in range(JOBS)])
    expect("jobs that are left", stage.nouns(f"{id}-left").ts.count(["job", id, None]), 0)
