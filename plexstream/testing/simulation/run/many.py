"""Many seeds, in one process or in several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple

from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.run.schedule import STEPS, Simulation

CHUNK = 50


class Outcome(NamedTuple):
    """Of some seeds: the ones that failed, with the reason, and in how many of them what happened."""

    seeds: int
    failed: list[tuple[int, str]]
    hits: Counter[str]


def run_seeds(seeds: Sequence[int], steps: int = STEPS) -> Outcome:
    """Run seeds one after the other, whatever fails."""
    failed: list[tuple[int, str]] = []
    hits: Counter[str] = Counter()
    for seed in seeds:
        try:
            hits.update(dict.fromkeys(Simulation(seed, steps).run(), 1))
        except Violation as error:
            failed.append((seed, str(error)))
        except Exception as error:
            failed.append((seed, f"{type(error).__name__}: {error}"))
    return Outcome(len(seeds), failed, hits)


def run_many(seeds: Iterable[int], processes: int, steps: int = STEPS) -> Iterator[Outcome]:
    """Run seeds in so many processes; an outcome for every few of them, in order."""
    everything = iter(seeds)
    if processes == 1:
        while chunk := list(islice(everything, CHUNK)):
            yield run_seeds(chunk, steps)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        while round_ := [list(islice(everything, CHUNK)) for _ in range(processes)]:
            chunks = [chunk for chunk in round_ if chunk]
            if not chunks:
                return
            yield from pool.map(partial(run_seeds, steps=steps), chunks)


def command(seed: int, steps: int = STEPS) -> str:
    """What replays a seed."""
    more = "" if steps == STEPS else f" --steps {steps}"
    return f"python -m plexstream.testing.simulation --seed {seed}{more} -v"
