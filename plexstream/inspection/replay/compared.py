"""What a journal says that a handler did, against what its code does now."""

from __future__ import annotations

import msgspec

from plexstream.hosts.native.turn.history import left
from plexstream.model.host import Result
from plexstream.model.journal.journal import Change, Out, OutKind, Step, Turn
from plexstream.model.journal.life import EXIT, SIGNALS, Life
from plexstream.model.journal.timer import CRON
from plexstream.model.messages.message import ASK
from plexstream.processor.actors.lives.calls import Moment, take
from plexstream.processor.actors.lives.lives import Lives
from plexstream.processor.actors.lives.signals import Ruling
from plexstream.processor.journal.sums.fold import TIMER
from plexstream.processor.state.histories.kept import of_others, result_out
from plexstream.processor.state.pieces import Pieces
from plexstream.sdk.running.collections.keys import readable

_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value
_TIMER, _TICK, _CANCEL = OutKind.TIMER.value, OutKind.TICK.value, OutKind.CANCEL.value
_KEPT = OutKind.KEPT.value
_CODES = {1: "rejected", 2: "failed"}


def status_of(turn: Turn | Step, result: Result) -> list[str]:
    """Whether it ended otherwise: well, refused, or failed."""
    now = result.code and ("rejected" if result.code == "rejected" else "failed")
    recorded = _CODES.get(turn.status, "")
    if now == recorded:
        return []
    detail = f": {result.detail}" if result.detail else ""
    return [f"status: recorded {recorded or 'done'}, now {now or 'done'}{detail}"]


def turn_differs(
    turn: Turn, result: Result, pieces: Pieces, ruling: Ruling | None, life: Life | None
) -> list[str]:
    """Each difference between a turn and what its message leads to now, on the state before it."""
    if status := status_of(turn, result):
        return status
    if result.code:
        return refusal_differs(turn, result)
    patch = list(turn.patch)
    if turn.fresh:
        dropped = sum(not field.startswith("$") for field, _, _ in pieces.collections.of_actor(turn.actor))
        patch = patch[dropped:]
    taken = take(pieces, turn.actor, result.outs, Moment(turn.time))
    outs = [o for o in taken.outs if o.kind != _TICK]
    ends = any(o.handler == EXIT and o.target == turn.actor for o in outs)
    if any(o.handler in SIGNALS for o in outs):
        outs = Lives(pieces).sent(turn.actor, ruling, life, outs).outs
    elif ruling is not None:
        outs = [*ruling.outs, *outs]
    if turn.cause_kind == ASK and not taken.later:
        own = (o.target for o in turn.outs if o.kind == _REPLY and o.id == turn.message_id)
        outs.append(Out(_REPLY, turn.message_id, next(own, ""), "", result.value))
    outs += result_out(turn.cause_kind, turn.idempotency_key, result.value)
    return [*patch_differs(patch, result.patch), *_outs_differ(turn, outs, ends)]


def end_differs(step: Step, result: Result, reply: str) -> list[str]:
    """The same for the end of a handler that has waited; `reply`: the id of its answer."""
    if status := status_of(step, result):
        return status
    if result.code:
        return refusal_differs(step, result)
    answers = (_REPLY, _ERROR)
    recorded = [o for o in left.own(step) if o.kind != _KEPT and not (o.kind in answers and o.id == reply)]
    now, more = left.sent(result.outs, step.actor)
    outs = left.differs(recorded[: len(now)] if more else recorded, now)
    told = _result_differs(step, result, reply)
    return [*patch_differs(list(step.patch), result.patch), *([outs] if outs else []), *told]


def _result_differs(step: Step, result: Result, reply: str) -> list[str]:
    """Whether what a journal has of a result, as an answer or kept for a tell, is another."""
    kept = [o for o in step.outs if o.kind == _KEPT and not (o.key or o.id)]
    told = (o for o in step.outs if o in kept or (o.kind == _REPLY and o.id == reply))
    value = next((o.payload for o in told), result.value)
    return [] if value == result.value else [f"result: recorded {_text(value)}, now {_text(result.value)}"]


def refusal_differs(turn: Turn | Step, result: Result) -> list[str]:
    """Whether a caller hears another error."""
    for out in turn.outs:
        if out.kind == _ERROR:
            body = msgspec.json.decode(out.payload)
            code, detail, data = body.get("code"), body.get("detail"), body.get("data")
        elif out.kind == _DEAD:
            code, detail, data = out.key, out.note, result.data
        else:
            continue
        if code != result.code:
            return [f"error: recorded {code} ({detail}), now {result.code} ({result.detail})"]
        # What a refusal says is meant for the caller; an exception's text may hold anything.
        if code == "rejected" and (detail != result.detail or data != result.data):
            return [f"refusal: recorded {detail!r} {data!r}, now {result.detail!r} {result.data!r}"]
    return []


def patch_differs(recorded: list[Change], now: list[Change]) -> list[str]:
    """Each change of state that is another; what the system keeps with it (``$…``) is not compared."""
    old = {(c.field, c.key): c.value for c in recorded if c.field[:1] != "$"}
    new = {(c.field, c.key): c.value for c in now if c.field[:1] != "$"}
    found = []
    for field, key in dict.fromkeys([*old, *new]):
        name = field if key is None else f"{field}[{readable(key)}]"
        before, after = _said(old, (field, key)), _said(new, (field, key))
        if before != after:
            found.append(f"{name}: recorded {before}, now {after}")
    return found


def _said(patch: dict[tuple[str, str | None], bytes | None], key: tuple[str, str | None]) -> str:
    if key not in patch:
        return "unchanged"
    value = patch[key]
    return "deleted" if value is None else _text(value)


def _outs_differ(turn: Turn, now: list[Out], ends: bool) -> list[str]:
    said = {o.id for o in now if o.kind == _TIMER}
    now = [o for o in now if not of_others(o)]
    recorded = [o for o in turn.outs if not (of_others(o) or (_by_the_system(o, turn) and o.id not in said))]
    if ends:
        # An actor that ends itself has its timers taken back by the processor.
        now, recorded = ([o for o in outs if o.kind not in (_TIMER, _CANCEL)] for outs in (now, recorded))
    found = []
    for index in range(max(len(recorded), len(now))):
        old = recorded[index] if index < len(recorded) else None
        new = now[index] if index < len(now) else None
        if old != new:
            found.append(f"sends {index + 1}: recorded {_out(old)}, now {_out(new)}")
    return found


def _by_the_system(out: Out, turn: Turn) -> bool:
    """Whether no handler has set a timer: it is the next of a series, or one that the type declares."""
    again = turn.cause_topic == TIMER and out.id == turn.message_id
    return out.kind == _TIMER and bool(out.note) and (again or out.id.startswith(CRON))


def _out(out: Out | None) -> str:
    if out is None:
        return "nothing"
    words = [OutKind(out.kind).name.lower(), out.target, out.handler, _text(out.payload)]
    if out.due:
        words.append(f"due {out.due}")
    return " ".join(w for w in words if w)


def _text(data: bytes) -> str:
    return data.decode(errors="replace")
