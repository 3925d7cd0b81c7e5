"""Actors that act by themselves: a firing that came twice would be ahead of its time."""

from __future__ import annotations

from typing import Any

from plexstream import actor, handler, host, state

EVERY = 0.2
BEATS = 20


@actor
class Clock:
    """A series, a chain of alarms, and a message to itself in a row, each until it has come `BEATS` times."""

    started: int = state(default=0)
    beats: int = state(default=0)
    alarms: int = state(default=0)
    later: int = state(default=0)
    early: int = state(default=0)

    @handler("start")
    def start(self) -> None:
        if self.started:
            return
        self.started = host.now()
        host.remind("beat", "beat", every=EVERY, misfire="all")
        host.alarm.set_in(EVERY)
        host.send_after(EVERY, "next", number=1)

    def _note(self, what: str, number: int) -> None:
        if host.now() < self.started + number * EVERY * 1000:
            self.early += 1
        host.emit("beats", f"{host.self_id()} {what} {number}")

    @handler("beat")
    def beat(self) -> None:
        self.beats += 1
        self._note("beat", self.beats)
        if self.beats == BEATS:
            host.forget("beat")

    @handler("__alarm__")
    def alarm(self) -> None:
        self.alarms += 1
        self._note("alarm", self.alarms)
        if self.alarms < BEATS:
            host.alarm.set_in(EVERY)

    @handler("next")
    def next(self, number: int) -> None:
        self.later += 1
        self._note("next", number)
        if number < BEATS:
            host.send_after(EVERY, "next", number=number + 1)

    @handler("report", read_only=True)
    def report(self) -> dict[str, Any]:
        return {
            "counts": [self.beats, self.alarms, self.later], "early": self.early,
            "pending": [*host.reminders(), host.alarm.get()],
        }  # fmt: skip
