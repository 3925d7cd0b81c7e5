"""Run seeds of the simulation, or replay one with its trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count

from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.run.many import command, run_many
from plexstream.testing.simulation.run.schedule import STEPS, Simulation


def main() -> int:
    """Returns 1 if a seed fails."""
    parser = argparse.ArgumentParser(prog="python -m plexstream.testing.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay one seed")
    parser.add_argument("--seeds", help="A:B: run the seeds from A up to B", default="0:200")
    parser.add_argument("--minutes", type=float, help="run seeds from A on for so long")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share the seeds")
    parser.add_argument("--steps", type=int, default=STEPS, help="how long each schedule is")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that fails")
    parser.add_argument("-v", "--verbose", action="store_true", help="print what happens in the one seed")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, options.steps, options.verbose)
    first, _, end = options.seeds.partition(":")
    seeds: Iterable[int] = range(int(first), int(end or int(first) + 1))
    if options.minutes is not None:
        seeds = _for_minutes(int(first), options.minutes)
    return run(seeds, options.jobs, options.steps, options.keep_going)


def _for_minutes(first: int, minutes: float) -> Iterator[int]:
    end = time.monotonic() + minutes * 60
    for seed in count(first):
        if time.monotonic() > end:
            return
        yield seed


def replay(seed: int, steps: int, verbose: bool) -> int:
    """Run one seed; print what happens."""
    try:
        Simulation(seed, steps, print if verbose else None).run()
    except Violation as error:
        print(f"seed {seed} fails: {error}")
        print(command(seed, steps))
        return 1
    print(f"seed {seed} holds")
    return 0


def run(seeds: Iterable[int], jobs: int, steps: int, keep_going: bool) -> int:
    """Run seeds; print the ones that fail and how to replay them, and what happened in how many."""
    began = time.monotonic()
    hits: Counter[str] = Counter()
    done = failed = 0
    for outcome in run_many(seeds, jobs, steps):
        done += outcome.seeds
        failed += len(outcome.failed)
        hits.update(outcome.hits)
        for seed, why in outcome.failed:
            print(f"seed {seed} fails: {why}")
            print(command(seed, steps), flush=True)
        if failed and not keep_going:
            break
    took = time.monotonic() - began
    print(f"{done} seeds, {failed} failed, {took:.1f} s, {done / took * 60:.0f} a minute")
    for name, number in sorted(hits.items(), key=lambda item: -item[1]):
        print(f"{number:8} seeds: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
