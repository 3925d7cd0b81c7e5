"""Aircraft, airports, carriers and routes, each an actor that keeps its own statistics.

Every flight is one record of the topic `flights`. The aircraft that flew it takes the record exactly once,
and tells its airport, its carrier and its route. Those three hear from many aircraft at once, in any order,
so they only count, sum and compare. One aircraft's flights arrive in the order in which they were published:
only the aircraft itself can say where it is.
"""

import os
from typing import Any

from plexstream import actor, handler, host, state, state_map, subscribe

SOURCE = os.environ.get("FLIGHTS_TOPIC", "flights")
LATE = 15  # minutes after schedule from which an arrival is called late
ALERT = 120  # minutes after schedule from which an arrival is announced on the output topic `delays`

Tally = dict[str, list[int]]  # what is counted → [how many flights, the sum of their minutes]


def count(tally: Tally, key: str, minutes: int) -> None:
    """One more flight of so many minutes under `key`."""
    flights, total = tally.get(key, (0, 0))
    tally[key] = [flights + 1, total + minutes]


def worst(tally: Tally) -> list[Any] | None:
    """The key with the most minutes, the first one if there are several: [key, minutes]."""
    if not tally:
        return None
    key, (_, minutes) = min(tally.items(), key=lambda item: (-item[1][1], item[0]))
    return [key, minutes]


@subscribe(SOURCE, key="tailnum", handler="flew")
@actor
class Aircraft:
    flights: int = state(default=0)
    cancelled: int = state(default=0)
    miles: int = state(default=0)
    position: str | None = state(default=None)  # None: not known, at first and after a diversion
    base: str | None = state(default=None)  # the airport of its last departure
    moves: int = state(default=0)  # departures from another airport than the one before
    broken_legs: int = state(default=0)  # departures from elsewhere than where it had landed
    late_streak: int = state(default=0)
    longest_late_streak: int = state(default=0)
    alerts: int = state(default=0)
    landings: dict[str, int] = state_map()

    @handler("flew")
    def flew(
        self,
        id: str,
        tailnum: str,
        carrier: str,
        origin: str,
        dest: str,
        departs: str,  # by schedule, local time: 2013-01-01T05:15
        distance: int,
        dep_delay: int | None = None,  # None: cancelled
        arr_delay: int | None = None,  # None: cancelled or diverted
        air_time: int | None = None,
    ) -> None:
        day, hour = departs[:10], departs[11:13]
        route = f"route/{origin}-{dest}"
        host.tell(f"airport/{origin}", "departure", day=day, hour=hour, delay=dep_delay)
        host.tell(f"carrier/{carrier}", "flight", day=day, dep_delay=dep_delay, arr_delay=arr_delay)
        host.tell(route, "flight", carrier=carrier, hour=hour, arr_delay=arr_delay, air_time=air_time)
        if dep_delay is None:
            self.cancelled += 1
            return
        self.flights += 1
        self.miles += distance
        if self.position is not None and self.position != origin:
            self.broken_legs += 1
        if self.base is not None and self.base != origin:
            self.moves += 1
        self.base = origin
        if arr_delay is None:
            self.position = None
        else:
            self.landed(id, tailnum, dest, arr_delay)

    def landed(self, id: str, tailnum: str, dest: str, delay: int) -> None:
        self.position = dest
        self.landings[dest] = self.landings.get(dest, 0) + 1
        self.late_streak = self.late_streak + 1 if delay >= LATE else 0
        self.longest_late_streak = max(self.longest_late_streak, self.late_streak)
        if delay >= ALERT:
            self.alerts += 1
            host.emit(
                "delays",
                {"flight": id, "tailnum": tailnum, "dest": dest, "minutes": delay, "number": self.alerts},
                key=id,
            )

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {
            "flights": self.flights,
            "cancelled": self.cancelled,
            "miles": self.miles,
            "position": self.position,
            "moves": self.moves,
            "broken_legs": self.broken_legs,
            "longest_late_streak": self.longest_late_streak,
            "alerts": self.alerts,
            "landings": dict(self.landings),
        }


@actor
class Airport:
    departures: int = state(default=0)
    cancelled: int = state(default=0)
    by_hour: Tally = state_map()
    by_day: Tally = state_map()

    @handler("departure")
    def departure(self, day: str, hour: str, delay: int | None = None) -> None:
        if delay is None:
            self.cancelled += 1
            return
        self.departures += 1
        count(self.by_hour, hour, delay)
        count(self.by_day, day, delay)

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {
            "departures": self.departures,
            "cancelled": self.cancelled,
            "by_hour": dict(self.by_hour),
            "worst_day": worst(self.by_day),
        }


@actor
class Carrier:
    flights: int = state(default=0)
    cancelled: int = state(default=0)
    diverted: int = state(default=0)
    late: int = state(default=0)
    by_day: Tally = state_map()

    @handler("flight")
    def flight(self, day: str, dep_delay: int | None = None, arr_delay: int | None = None) -> None:
        if dep_delay is None:
            self.cancelled += 1
            return
        self.flights += 1
        if arr_delay is None:
            self.diverted += 1
            return
        self.late += arr_delay >= LATE
        count(self.by_day, day, arr_delay)

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {
            "flights": self.flights,
            "cancelled": self.cancelled,
            "diverted": self.diverted,
            "late": self.late,
            "arrival_delay": sum(minutes for _, minutes in self.by_day.values()),
            "worst_day": worst(self.by_day),
        }


@actor
class Route:
    landings: int = state(default=0)
    lost: int = state(default=0)  # cancelled or diverted
    air_time: int = state(default=0)
    fastest: int | None = state(default=None)
    slowest: int | None = state(default=None)
    by_hour: Tally = state_map()
    carriers: dict[str, int] = state_map()

    @handler("flight")
    def flight(
        self, carrier: str, hour: str, arr_delay: int | None = None, air_time: int | None = None
    ) -> None:
        if arr_delay is None or air_time is None:
            self.lost += 1
            return
        self.landings += 1
        self.air_time += air_time
        self.fastest = air_time if self.fastest is None else min(self.fastest, air_time)
        self.slowest = air_time if self.slowest is None else max(self.slowest, air_time)
        count(self.by_hour, hour, arr_delay)
        self.carriers[carrier] = self.carriers.get(carrier, 0) + 1

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {
            "landings": self.landings,
            "lost": self.lost,
            "air_time": self.air_time,
            "fastest": self.fastest,
            "slowest": self.slowest,
            "by_hour": dict(self.by_hour),
            "carriers": dict(self.carriers),
        }
