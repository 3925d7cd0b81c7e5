"""What is due again and again: the turn that a timer causes sets the next one; none is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterable

from plexstream.model.errors import BadSchedule
from plexstream.model.host import TypeInfo
from plexstream.model.journal.journal import Out, OutKind, Turn
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.journal.timer import CRON, decode_timer
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.schedule import fire, first, parse_schedule
from plexstream.processor.journal.turns import turn_left_out
from plexstream.processor.state.pieces import Pieces

_TIMER = OutKind.TIMER.value
SCHEDULE = "schedule"
"""The header of a timer's message that says when it is due again."""
_LATER_MS = 60_000


def timer_message(timer: Snapshot) -> Envelope:
    """What a timer says when it is due. Its number is the journal offset by which it was set."""
    to, handler, schedule, payload = decode_timer(timer.data)
    headers = {SCHEDULE: schedule} if schedule else {}
    return Envelope(
        TELL, timer.name, to, handler, payload, timer.address, time=timer.time, headers=headers,
        origin_seq=timer.offset,
    )  # fmt: skip


def again(e: Envelope, now: int, outs: Iterable[Out] = ()) -> list[Out]:
    """What sets the timer of a message anew, for the turn that the message causes.

    Nothing where it comes once, or where the handler has decided by itself, in `outs`.
    """
    schedule = e.headers.get(SCHEDULE)
    if not schedule or any(out.id == e.id for out in outs):
        return []
    return [_next(e, schedule, _fire(schedule, e.time, now)[1])]


def left_out(claim: int, e: Envelope, now: int, info: TypeInfo | None) -> Turn | None:
    """The turn of a firing that runs no handler: too late, or not declared any more. None where it runs."""
    schedule = e.headers.get(SCHEDULE)
    if not schedule:
        return None
    outs: list[Out] = []
    if e.id.startswith(CRON) and info is not None:
        declared = next((c.schedule for c in info.crons if CRON + c.handler == e.id), "")
        if declared != schedule:  # the code has changed, and the actor has not been loaded since
            if declared:
                outs.append(_next(e, declared, _first(declared, now)))
            return turn_left_out(claim, e, now, outs)
    runs, due = _fire(schedule, e.time, now)
    return None if runs else turn_left_out(claim, e, now, [_next(e, schedule, due)])


def arm(info: TypeInfo, actor: str, pieces: Pieces, now: int) -> list[Out]:
    """What sets the timers that a type declares, where an actor does not have them, or has others."""
    outs = []
    for handler, schedule in info.crons:
        timer = pieces.newest_timer(actor, CRON + handler)
        if timer is None or decode_timer(timer.data).schedule != schedule:
            due = _first(schedule, now)
            outs.append(Out(_TIMER, CRON + handler, actor, handler, b"{}", "", schedule, due))
    return outs


def _next(e: Envelope, schedule: str, due: int) -> Out:
    return Out(_TIMER, e.id, e.target, e.handler, e.payload, "", schedule, due)


def _fire(schedule: str, due: int, now: int) -> tuple[bool, int]:
    try:
        return fire(parse_schedule(schedule), due, now)
    except BadSchedule:  # this node does not know the time zone: another may
        return False, now + _LATER_MS


def _first(schedule: str, now: int) -> int:
    try:
        return first(parse_schedule(schedule), now)
    except BadSchedule:
        return now + _LATER_MS
