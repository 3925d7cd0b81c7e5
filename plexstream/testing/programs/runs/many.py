"""Many seeds, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple

from plexstream.testing.programs.checks.checker import check
from plexstream.testing.programs.program import Program
from plexstream.testing.programs.runs.draw import draw
from plexstream.testing.programs.stage.driver import play

CHUNK = 50


class Outcome(NamedTuple):
    """Of some seeds: the ones that failed, with the reason."""

    seeds: int
    failed: list[tuple[int, str]]


def failure(program: Program, tell: Callable[[str], None] | None = None) -> str:
    """Play a program; returns what is wrong, or nothing. `tell` gets each line of what happens."""
    try:
        check(play(program, tell))
    except AssertionError as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error!r}"
    return ""


def run_seeds(seeds: Sequence[int]) -> Outcome:
    """Run seeds one after the other, whatever fails."""
    failed = [(seed, why) for seed in seeds if (why := failure(draw(seed)))]
    return Outcome(len(seeds), failed)


def run_many(seeds: Iterable[int], processes: int) -> Iterator[Outcome]:
    """Run seeds in so many processes; an outcome for every few of them, in order."""
    everything = iter(seeds)
    if processes == 1:
        while chunk := list(islice(everything, CHUNK)):
            yield run_seeds(chunk)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        while round_ := [chunk for _ in range(processes) if (chunk := list(islice(everything, CHUNK)))]:
            yield from pool.map(run_seeds, round_)


def command(seed: int) -> str:
    """What replays a seed."""
    return f"python -m plexstream.testing.programs --seed {seed}"
