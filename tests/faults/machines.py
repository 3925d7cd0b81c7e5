"""A state machine, an event manager and an event-sourced actor: what they did can be counted."""

from __future__ import annotations

from dataclasses import dataclass

from plexstream import (
    EventLog,
    EventSourced,
    actor,
    event,
    event_actor,
    fsm_actor,
    handler,
    host,
    state,
    state_list,
    state_timeout,
)

FOLD = 1  # raised by a test


@fsm_actor(
    states=["idle", "connecting", "online"],
    initial="idle",
    transitions={"idle": ["connecting"], "connecting": ["online", "idle"], "online": ["idle"]},
)
class Line:
    timeouts: int = state(default=0)
    patience: float = state(default=0.0)

    @handler("dial", states=["idle"])
    def dial(self, patience: float) -> None:
        self.patience = patience
        self.fsm_state = "connecting"

    @handler("up", states=["connecting"])
    def up(self) -> None:
        self.fsm_state = "online"

    @handler("send", states=["online"], postpone_in=["idle", "connecting"])
    def send(self, number: int) -> None:
        if number < 0:
            raise ValueError("negative")
        host.tell(f"book/{host.self_id().split('/')[-1]}", "note", number=number)

    @state_timeout("connecting", after=lambda self: self.patience)
    def enough(self) -> None:
        self.timeouts += 1
        self.fsm_state = "online"

    @handler("report", read_only=True)
    def report(self) -> dict[str, object]:
        return {"state": self.fsm_state, "timeouts": self.timeouts}


@actor
class Book:
    numbers: list[int] = state_list()

    @handler("note")
    def note(self, number: int) -> None:
        self.numbers.append(number)

    @handler("report", read_only=True)
    def report(self) -> list[int]:
        return list(self.numbers)


class Sum:
    total: int = state(default=0)

    @handler("sold")
    def sold(self, amount: int) -> None:
        self.total += amount
        if amount < 0:
            raise ValueError("negative")


@event_actor(handlers=[Sum])
class Shop:
    pass


@dataclass
class Paid:
    amount: int


@actor(events=EventLog(fold=FOLD))
class Purse(EventSourced):
    balance: int = state(default=0)

    @handler("pay")
    def pay(self, amount: int) -> int:
        self.apply(Paid(amount))
        return self.balance

    @event
    def paid(self, paid: Paid) -> None:
        self.balance += FOLD * paid.amount

    @handler("report", read_only=True)
    def report(self) -> int:
        return self.balance
