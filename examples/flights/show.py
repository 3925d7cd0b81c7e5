"""What the run shows on the terminal: a progress bar, and a table of what came out."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "")


def bar(console: Console) -> Progress:
    """A progress bar that counts flights, with their rate and the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}"),
        _Rate(),
        TimeRemainingColumn(),
        console=console,
        speed_estimate_period=10,
    )


def airports(reports: dict[str, Any]) -> Table:
    """What the airports report, one line for each."""
    table = Table(title="Departures from New York, as the actors have counted them")
    table.add_column("airport")
    for name in ("departures", "cancelled", "mean delay", "worst hour", "worst day"):
        table.add_column(name, justify="right")
    for address, report in sorted(reports.items()):
        kind, _, airport = address.partition("/")
        if kind != "airport":
            continue
        hours = report["by_hour"]
        minutes = sum(total for _, total in hours.values())
        hour = max(hours, key=lambda hour: hours[hour][1] / hours[hour][0], default="–")
        day = report["worst_day"]
        table.add_row(
            airport,
            f"{report['departures']:,}",
            f"{report['cancelled']:,}",
            f"{minutes / max(1, report['departures']):.1f} min",
            hour,
            f"{day[0]} ({day[1]:,} min)" if day else "–",
        )
    return table


def differences(console: Console, lines: list[str], most: int = 20) -> None:
    """The first few differences, and how many more there are."""
    for line in lines[:most]:
        console.print(f"  [red]✗[/] {line}", highlight=False)
    if len(lines) > most:
        console.print(f"  … and {len(lines) - most:,} more")
