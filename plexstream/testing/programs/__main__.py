"""Run random programs, or replay one and cut it down."""

from __future__ import annotations

import argparse
import json
import sys
import time

from plexstream.testing.programs.program import Program
from plexstream.testing.programs.runs.draw import draw
from plexstream.testing.programs.runs.many import command, failure, run_many
from plexstream.testing.programs.runs.shrink import shrink


def main() -> int:
    """Returns 1 if a program fails."""
    parser = argparse.ArgumentParser(prog="python -m plexstream.testing.programs", description=__doc__)
    parser.add_argument("--seed", type=int, help="replay one seed")
    parser.add_argument("--seeds", help="A:B: run the seeds from A up to B; N: so many", default="2000")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes share the seeds")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at the first seed that fails")
    parser.add_argument("--shrink", type=float, default=0, metavar="SECONDS", help="cut the one seed down")
    more = "print the program of the one seed, and what happens"
    parser.add_argument("-v", "--verbose", action="store_true", help=more)
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, options.shrink, options.verbose)
    first, colon, end = options.seeds.partition(":")
    seeds = range(int(first), int(end)) if colon else range(int(first))
    return run(seeds, options.jobs, options.keep_going)


def replay(seed: int, seconds: float, verbose: bool) -> int:
    """Run one seed; print the program if it fails."""
    program = draw(seed)
    why = failure(program)
    if why and seconds:
        program = shrink(program, lambda p: _kind(failure(p)) == _kind(why), seconds)
        why = failure(program)
    if why or verbose:
        _print(program)
    if verbose:
        failure(program, print)
    print(f"seed {seed} {'fails: ' + why if why else 'holds'}")
    return 1 if why else 0


def _kind(why: str) -> str:
    """What is wrong, without the names of what it is wrong with."""
    return "".join(c for c in why.split("{")[0].split("[")[0][:60] if c.isalpha())


def _print(program: Program) -> None:
    print(program.plan)
    for move in program.moves:
        print("   ", json.dumps(move))


def run(seeds: range, jobs: int, keep_going: bool) -> int:
    """Run seeds; print the ones that fail, and how to replay them."""
    began = told = time.monotonic()
    done = failed = 0
    for outcome in run_many(seeds, jobs):
        done += outcome.seeds
        failed += len(outcome.failed)
        for seed, why in outcome.failed:
            print(f"seed {seed} fails: {why[:1000]}\n    {command(seed)}", flush=True)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"{done} of {len(seeds)} seeds, {failed} failed, {told - began:.0f} s", flush=True)
        if failed and not keep_going:
            break
    print(f"{done} seeds, {failed} failed, {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
