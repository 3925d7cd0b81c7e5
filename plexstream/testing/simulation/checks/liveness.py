"""Nothing waits whose answer is there: what must be over once faults have stopped and everything is quiet.

Told from the log and the callers alone. What may still wait then: handlers to whom nobody has answered and
whose time is not over, and the messages behind them.
"""

from __future__ import annotations

from collections.abc import Iterator

from plexstream.model.messages.message import ASK, Envelope
from plexstream.testing.simulation.cast.clients import Call
from plexstream.testing.simulation.checks.checks import Checks, envelope
from plexstream.testing.simulation.checks.model.model import Model
from plexstream.testing.simulation.errors import Violation


def check(checks: Checks, now: int) -> None:
    """Raises Violation if something still waits at `now`, in ms, that could have gone on."""
    late: list[str] = []
    for model, mailbox in zip(checks.models, checks.mailboxes, strict=True):
        model.fold(1 << 60)
        found = [envelope(record) for record in mailbox]
        answered = {e.id for e in found if e is not None and e.kind > ASK}
        late += model.waits.late(now, answered)
        late += [
            f"timer {name} of {address} is due since {now - timer.due} ms"
            for (address, name), timer in model.timers.pending.items() if timer.due < now
        ]  # fmt: skip
        for record, e in checks.unhandled(model, mailbox):
            if not _may_wait(model, e):
                late.append(f"mailbox {record.partition}@{record.offset}: {e}")
    late += _calls(checks)
    if late:
        raise Violation("it waits, and its answer is there: " + "; ".join(late))
    checks.what_left()


def _may_wait(model: Model, e: Envelope | None) -> bool:
    """Whether a message waits for an actor that is not free."""
    return e is not None and e.handler[:1] != "$" and model.waits.holds(e.target)


def _calls(checks: Checks) -> Iterator[str]:
    """Callers whose answer somebody has given."""
    for client in checks.clients:
        for call in client.open:
            if call.reply is None and _answered(checks.models[call.place[1]], call):
                yield f"{call.op} of {client.name}"


def _answered(model: Model, call: Call) -> bool:
    e = call.envelope
    return e.kind == ASK and (e.id in model.sent.answers or model.keyed.of(e) is not None)
