"""The benchmarks, side by side with the peers in one run: `bench/run --help`."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import contenders, history, machine, table
from bench.limits import Budget, at_most
from bench.rows import FULL, QUICK, ROWS, Task
from plexstream.inspection.kafka.admin import KafkaAdmin
from plexstream.testing.kafka.broker import LocalBroker
from plexstream.testing.kafka.process.distribution import VERSION

LONG_S = 120.0
"""What takes longer is left out where there is no time for it, and nothing has failed."""
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="little work: to see that all works; writes nothing"
    )
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="only these rows")
    parser.add_argument(
        "--kafka", metavar="ADDRESS", help="a broker to use; default: a local one, started for this"
    )
    parser.add_argument(
        "--minutes", type=float, default=30.0,
        help="for all rows: what does not fit is left out, and said (default 30)",
    )  # fmt: skip
    parser.add_argument("--results", metavar="DIR", type=Path, help="where to write (default bench/results)")
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    console, faults = Console(stderr=True), []
    # Its settings would reach the nodes that are started here.
    for name in [n for n in os.environ if n.startswith("PLEXSTREAM_")]:
        del os.environ[name]

    def skipped(name: str, why: str) -> None:
        faults.append(f"{name}: {why}")
        console.print(f"[yellow]skipped[/] {name}: {why}")

    began = time.monotonic()
    console.print("preparing the peers and the broker")
    who = contenders.find(skipped)
    with _broker(options.kafka) as (address, version):
        about = {"when": f"{datetime.datetime.now():%Y-%m-%d %H:%M}", **machine.describe(version)}
        tasks = {row: ROWS[row](address, who, sizes) for row in options.rows}
        samples = _measure(tasks, options.minutes, console, skipped)
    lines = table.lines(samples)
    about["took"] = f"{(time.monotonic() - began) / 60:.0f} min"
    _print(lines, about)
    results = options.results or (None if options.quick else RESULTS)
    if results is not None:
        _write(results, lines, samples, about, faults, sizes._asdict())
    return 1 if faults else 0


def _measure(
    rows: dict[str, list[Task]], minutes: float, console: Console, skipped: Callable[[str, str], None]
) -> table.Samples:
    """Run every task, round by round. What fails, hangs or does not fit is skipped, with the reason."""
    samples: table.Samples = {}
    began, budget = time.monotonic(), Budget(minutes, len(rows))
    took: dict[tuple[str, str], float] = {}
    for row, tasks in rows.items():
        budget.next_row()
        for number in range(max(t.rounds for t in tasks)):
            for task in [t for t in tasks if number < t.rounds]:
                doing = f"{row}: {task.what}, round {number + 1} of {task.rounds}"
                if not budget.allows(number, took.get((row, task.what), task.expected_s)):
                    if number:  # there are figures of it
                        console.print(f"left out {doing}: the row has had its share of {minutes:g} min")
                    elif task.expected_s > LONG_S:
                        takes = f"it takes {task.expected_s / 60:.0f} min"
                        console.print(f"left out {doing}: {takes}: give --minutes, or --rows {row}")
                    else:
                        skipped(doing, f"the {minutes:g} min are over (--minutes)")
                    continue
                start = time.monotonic()
                console.print(f"{(start - began) / 60:4.1f} min  {doing} …", highlight=False)
                try:
                    with at_most(task.limit_s):
                        found = task.run()
                except Exception as error:  # the other rows are still worth having
                    skipped(doing, f"{type(error).__name__}: {error}")
                    continue
                finally:
                    took[row, task.what] = time.monotonic() - start
                for metric, value in found.items():
                    if value >= 0:
                        samples.setdefault((row, task.what, metric), {})[number] = value
                said = ", ".join(f"{m} {v:,.2f}" for m, v in found.items())
                console.print(f"          {said}  ({took[row, task.what]:.0f} s)", highlight=False)
    return samples


@contextlib.contextmanager
def _broker(address: str | None) -> Iterator[tuple[str, str]]:
    """A broker's address and version."""
    if address:
        yield address, KafkaAdmin(address, {}).brokers().version
    else:
        with LocalBroker(full_jit=True, heap="1g") as broker:
            yield broker.address, f"{VERSION}, one broker on this machine"


def _print(lines: list[table.Line], about: dict[str, str]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 170)
    shown = Table("what", "figure", "ratio to peers", "target met", box=None)
    shown.columns[1].justify = "right"
    row = ""
    for line in lines:
        if row and line.row != row:
            shown.add_section()
            shown.add_row()
        row = line.row
        style = "red" if line.verdict().startswith("NO") else None
        shown.add_row(*table.cells(line), style=style)
    console.print("  ".join(f"{name}: {value};" for name, value in about.items()), highlight=False)
    console.print(shown)


def _write(
    folder: Path, lines: list[table.Line], samples: table.Samples, about: dict[str, str], faults: list[str],
    sizes: dict[str, Any],
) -> None:  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    name = folder / f"{about['when'][:10]}-{about['commit']}"
    everything = {
        "about": about,
        "sizes": sizes,
        "lines": [
            {
                **line._asdict(), "verdict": line.verdict(),
                "ratios": {peer: ratio._asdict() for peer, ratio in line.ratios.items()},
            }
            for line in lines
        ],
        "samples": [
            {"row": r, "what": w, "metric": m, "rounds": list(v), "values": list(v.values())}
            for (r, w, m), v in samples.items()
        ],
        "faults": faults,
    }
    name.with_suffix(".json").write_text(json.dumps(everything, indent=1, ensure_ascii=False) + "\n")
    name.with_suffix(".md").write_text(table.markdown(lines, about, faults))
    print(f"written: {name}.json and .md", file=sys.stderr)
    if folder == RESULTS:
        history.add(history.FILE, history.line(about, lines))
