"""What has left a handler, as the journal has it, against what its code does where it runs again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from plexstream.model.journal.deferred import SAME, SWEEP, WITHDRAW
from plexstream.model.journal.journal import Change, Control, Out, OutKind, Step
from plexstream.model.journal.life import DOWN, EXIT, EXITED, STARTED
from plexstream.model.journal.timer import CRON
from plexstream.model.messages.address import parse
from plexstream.model.messages.text import text
from plexstream.sdk.running.collections.keys import readable

_TELL, _ASK, _REPLY, _ERROR, _TIMER, _CANCEL, _DEAD, _TICK, _LATER, _OVER, _KEPT = (
    k.value
    for k in (
        OutKind.TELL, OutKind.ASK, OutKind.REPLY, OutKind.ERROR, OutKind.TIMER, OutKind.CANCEL,
        OutKind.DEADLETTER, OutKind.TICK, OutKind.LATER, OutKind.OVER, OutKind.KEPT,
    )
)  # fmt: skip
Restored = Callable[[str, str | None, bytes], bytes]
"""What is stored of a field, or of an entry of a collection, in the form of today's code."""
_NOTICES = frozenset((STARTED, EXITED, DOWN, "$cancel", "$end", WITHDRAW, SWEEP))
_WAKE = "$wake"
_LONG = 200
"""Characters of a payload that are told of a difference."""


def own(step: Step) -> list[Out]:
    """What of a step's outgoing items its handler has sent; the system has added to them."""
    led = next((int(c.value) for c in step.completions if c.number == Control.LED), 0)
    return [out for out in step.outs[led:] if not _of_the_system(out, step)]


def _of_the_system(out: Out, step: Step) -> bool:
    kind = out.kind
    if kind == _TELL:
        return out.handler in _NOTICES
    if kind == _TIMER:  # a sleep, one that the type declares, or the next of a series
        series = bool(out.note) and out.id == step.message_id and step.cause_topic == "timer"
        return out.handler == _WAKE or out.id.startswith(CRON) or series
    if kind == _CANCEL:
        return "~" in out.id and out.id.partition("~")[0].isdecimal()
    if kind in (_REPLY, _ERROR):
        return out.note == SAME or (bool(out.id) and out.id == step.message_id)
    if kind == _KEPT:
        return out.id != ""  # of a call that an earlier turn has left
    return kind == _DEAD and out.key == "poisoned"


def sent(outs: Sequence[Out], address: str) -> tuple[list[Out], bool]:
    """What of a handler's items a journal gets, and whether more follows: with its life its timers end."""
    kept = [out for out in outs if out.kind not in (_TICK, _LATER, _OVER) and not _withdraws(out)]
    if not any(_is_exit(out, address) for out in kept):
        return kept, False
    kept = [out for out in kept if not _is_exit(out, address)]
    return [out for out in kept if out.kind != _TIMER or out.target != address], True


def _withdraws(out: Out) -> bool:
    """Whether it tells that an answer is waited for no more: that is its handler's, or the system's."""
    return out.kind == _TELL and out.handler == WITHDRAW


def _is_exit(out: Out, address: str) -> bool:
    return out.kind == _TELL and out.handler == EXIT and out.target == address


def differs(recorded: Sequence[Out], now: Sequence[Out], before: int = 0) -> str:
    """The first difference, or ""; `before`: how many items came before these."""
    for index in range(max(len(recorded), len(now))):
        old = recorded[index] if index < len(recorded) else None
        new = now[index] if index < len(now) else None
        if old is None or new is None or not _same(old, new):
            said, does = _told(old), _told(new)
            if said == does and old is not None and new is not None:
                said, does = _apart(old.payload, new.payload)
            return (
                f"item {before + index + 1} of what it sends is recorded as {said}, "
                f"but the handler now sends {does}"
            )
    return ""


def _same(old: Out, new: Out) -> bool:
    if old.kind == _ASK:  # its id says how often it was asked for, its note who waits
        old, new = old._replace(id="", note=""), new._replace(id="", note="")
    return old == new or (old._replace(payload=new.payload) == new and _equal(old.payload, new.payload))


def _equal(old: bytes, new: bytes) -> bool:
    """Whether two payloads are the same value, however its keys are ordered."""
    try:
        return bool(msgspec.json.decode(old) == msgspec.json.decode(new))
    except msgspec.DecodeError:
        return False


def _told(out: Out | None) -> str:
    if out is None:
        return "nothing"
    words = [OutKind(out.kind).name.lower()]
    if out.kind == _CANCEL:
        return f"cancel of the timer {out.id}"
    if out.kind == _TIMER:
        words.append(out.id)
    target = parse(out.target).short if out.target.count("/") >= 3 else out.target
    words += [target, out.handler, text(out.payload.decode(errors="replace"), _LONG)]
    if out.key:
        words.append(f"key {out.key}")
    if out.kind == _TIMER:
        words.append(f"due {out.due}" + (f" {out.note}" if out.note else ""))
    return " ".join(word for word in words if word)


def _apart(old: bytes, new: bytes) -> tuple[str, str]:
    """Two long payloads, from a little before where they begin to differ."""
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    start = max(0, at - 20)
    said, does = (p[start : start + _LONG].decode(errors="replace") for p in (old, new))
    return f"…{said}", f"…{does}"


# Changes of state that others see


def changes_differ(step: Step, now: Sequence[Change], settled: str, restored: Restored) -> str:
    """The first difference between what a step has changed and what the code changes now, or "".

    `settled`: the collection of promises, which keep the first value that they get from anybody; `restored`:
    how today's code stores what older code has stored.
    """
    dropped = {(c.field, c.key) for c in step.patch if c.value is None} if step.fresh else set()
    old = {(c.field, c.key): c.value for c in step.patch if c.field[:1] != "$"}
    new = {(c.field, c.key): c.value for c in now}
    for spot in dict.fromkeys([*old, *new]):
        field, key = spot
        if spot not in new and spot in dropped and old[spot] is None:
            continue  # of the state before, which had expired
        if spot not in old and field == settled:
            continue
        said, does = old.get(spot, _NOTHING), new.get(spot, _NOTHING)
        if said != does and not (said and does and _equal(restored(field, key, said), does)):
            name = field if key is None else f"{field}[{readable(key)}]"
            return f"{name} is recorded as {_value(said)}, but the handler now makes it {_value(does)}"
    return ""


_NOTHING = b""
"""Of what is not changed: no value is empty."""


def _value(data: bytes | None) -> str:
    if data is None:
        return "deleted"
    return text(data.decode(errors="replace"), _LONG) if data else "unchanged"
