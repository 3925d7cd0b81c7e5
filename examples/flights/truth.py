"""What every actor must report and every alert must say, computed by pandas from the same flights."""

from __future__ import annotations

from typing import Any

import pandas as pd

LATE = 15  # repeated here on purpose: the check shares no code with the actors that it checks
ALERT = 120

Reports = dict[str, dict[str, Any]]  # the actor's address → its report


def expected(flights: pd.DataFrame) -> Reports:
    """The report of every actor that the flights have woken, by address."""
    flights = flights.assign(
        day=flights["departs"].str[:10],
        hour=flights["departs"].str[11:13],
        route=flights["origin"] + "-" + flights["dest"],
        departed=flights["dep_delay"].notna(),
        landed=flights["arr_delay"].notna(),
        late=flights["arr_delay"].ge(LATE).fillna(False).astype(bool),
    )
    return {**_aircraft(flights), **_airports(flights), **_carriers(flights), **_routes(flights)}


def alerts(flights: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """The alert of each flight that arrived too late, by flight."""
    late = flights[flights["arr_delay"].ge(ALERT).fillna(False).astype(bool)]
    number = late.groupby("tailnum").cumcount() + 1
    return {
        flight: {"flight": flight, "tailnum": tail, "dest": dest, "minutes": int(minutes), "number": int(n)}
        for flight, tail, dest, minutes, n in zip(
            late["id"], late["tailnum"], late["dest"], late["arr_delay"], number, strict=True
        )
    }


def _aircraft(flights: pd.DataFrame) -> Reports:
    departed = flights[flights["departed"]]
    landed = flights[flights["landed"]]
    tail = departed["tailnum"]

    last = departed.drop_duplicates("tailnum", keep="last")
    last = last[last["landed"]]
    before = departed["dest"].where(departed["landed"]).groupby(tail).shift()
    base = departed["origin"].groupby(tail).shift()
    broken = before.notna() & (before != departed["origin"])
    moved = base.notna() & (base != departed["origin"])

    on_time = (~landed["late"]).groupby(landed["tailnum"]).cumsum()  # numbers the streaks of each aircraft
    streaks = landed["late"].groupby([landed["tailnum"], on_time]).sum()

    table = pd.DataFrame(
        {
            "flights": tail.value_counts(),
            "cancelled": flights.loc[~flights["departed"], "tailnum"].value_counts(),
            "miles": departed.groupby("tailnum")["distance"].sum(),
            "moves": moved.groupby(tail).sum(),
            "broken_legs": broken.groupby(tail).sum(),
            "longest_late_streak": streaks.groupby(level=0).max(),
            "alerts": landed[landed["arr_delay"] >= ALERT]["tailnum"].value_counts(),
        },
        index=flights["tailnum"].unique(),
    )
    return _reports(
        "aircraft",
        table.fillna(0),
        position=dict(zip(last["tailnum"], last["dest"], strict=True)),
        landings=_nested(landed.groupby(["tailnum", "dest"]).size()),
    )


def _airports(flights: pd.DataFrame) -> Reports:
    departed = flights[flights["departed"]]
    table = flights.groupby("origin").agg(departures=("departed", "sum"), flights=("departed", "size"))
    table["cancelled"] = table.pop("flights") - table["departures"]
    return _reports(
        "airport",
        table,
        by_hour=_tally(departed, "origin", "hour", "dep_delay"),
        worst_day=_worst_day(departed, "origin", "dep_delay"),
    )


def _carriers(flights: pd.DataFrame) -> Reports:
    landed = flights[flights["landed"]]
    groups = flights.groupby("carrier")
    table = pd.DataFrame({"flights": groups["departed"].sum()})
    table["cancelled"] = groups.size() - table["flights"]
    table["diverted"] = table["flights"] - groups["landed"].sum()
    table["late"] = groups["late"].sum()
    table["arrival_delay"] = groups["arr_delay"].sum()
    return _reports("carrier", table, worst_day=_worst_day(landed, "carrier", "arr_delay"))


def _routes(flights: pd.DataFrame) -> Reports:
    landed = flights[flights["landed"]]
    groups = flights.groupby("route")
    table = pd.DataFrame({"landings": groups["landed"].sum()})
    table["lost"] = groups.size() - table["landings"]
    table["air_time"] = groups["air_time"].sum()
    table["fastest"] = groups["air_time"].min()
    table["slowest"] = groups["air_time"].max()
    return _reports(
        "route",
        table,
        by_hour=_tally(landed, "route", "hour", "arr_delay"),
        carriers=_nested(landed.groupby(["route", "carrier"]).size()),
    )


def _tally(flights: pd.DataFrame, actor: str, key: str, minutes: str) -> dict[str, dict[str, list[int]]]:
    """By actor and key: [how many flights, the sum of their minutes]."""
    sums = flights.groupby([actor, key])[minutes].agg(["size", "sum"])
    return _nested(pd.Series([list(map(int, row)) for row in sums.to_numpy()], index=sums.index))


def _worst_day(flights: pd.DataFrame, actor: str, minutes: str) -> dict[str, list[Any]]:
    """By actor: the day with the most minutes, the earliest if there are several, and how many."""
    days = flights.groupby([actor, "day"])[minutes].sum()
    worst = days[days.groupby(level=0).idxmax().to_list()]
    return {key: [*day.popitem()] for key, day in _nested(worst).items()}


def _nested(series: pd.Series[Any]) -> dict[str, dict[str, Any]]:
    """By actor and key, from a series with both in its index."""
    nested: dict[str, dict[str, Any]] = {}
    for (actor, key), value in zip(series.index.tolist(), series.tolist(), strict=True):
        nested.setdefault(actor, {})[key] = value if isinstance(value, list) else int(value)
    return nested


def _reports(kind: str, numbers: pd.DataFrame, **fields: dict[str, Any]) -> Reports:
    """A report for each row of numbers, with `fields` added: by name, what it is for each actor."""
    reports: Reports = {}
    for actor, row in numbers.to_dict("index").items():
        report: dict[str, Any] = {str(n): None if pd.isna(value) else int(value) for n, value in row.items()}
        for name, values in fields.items():
            report[name] = values.get(str(actor), None if name in ("position", "worst_day") else {})
        reports[f"{kind}/{actor}"] = report
    return reports
