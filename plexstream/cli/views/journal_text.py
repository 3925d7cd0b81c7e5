"""Journal records as text for people, and as plain values for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from plexstream.cli.common.output import when
from plexstream.inspection.views.invocations import Recorded, failure_of
from plexstream.model.journal.attempt import decode_attempt
from plexstream.model.journal.journal import (
    WAITING,
    Claim,
    Command,
    CommandKind,
    Completion,
    Control,
    JournalRecord,
    Mark,
    Out,
    OutKind,
    Status,
    Step,
    Turn,
)
from plexstream.model.messages.address import parse
from plexstream.model.messages.awakeable import make_id
from plexstream.sdk.running.collections.keys import bound, readable

if TYPE_CHECKING:
    from plexstream.inspection.history import Entry

_ADDRESSED = (OutKind.TELL, OutKind.ASK, OutKind.EMIT, OutKind.TIMER)
_SHORT = 60


def text_of(record: JournalRecord | None) -> str:
    """A record as one line."""
    if isinstance(record, Turn | Step):
        return "  ".join([_head(record), *_parts(record)])
    if type(record) is Claim:
        code = ", ".join(f"{name} {version}" for name, version in record.code.items())
        return f"claim by {record.node}" + (f" ({code})" if code else "")
    if type(record) is Mark:
        if record.attempt >= 0:
            return f"mark: about to try mailbox offset {record.attempt} with care"
        inboxes = ", ".join(f"{i.topic} done below {i.low}" for i in record.inboxes)
        left = min(record.relayed, record.emitted)
        return f"{'release' if record.release else 'mark'}: {inboxes or 'no inbox'}, left below {left}"
    return "unreadable"


def step_lines(number: int, records: Sequence[Recorded]) -> Iterator[str]:
    """An invocation as lines: a head, then each step with what came, what is asked for and what is sent."""
    first = records[0].step
    begin = next((r.step.begin for r in records if type(r.step) is Step and r.step.begin), None)
    name = f"{parse(first.actor).short}#{number} {begin.handler if begin else first.handler}"
    if begin is not None:
        caller = parse(begin.sender).short if begin.sender else "outside"
        yield f"{name} {_short(begin.payload)}  {'ask' if begin.kind else 'tell'} {begin.id} from {caller}"
    else:
        yield name
    last = first.time
    for offset, step in records:
        after = f"  +{(step.time - last) / 1000:g} s" if step.time != last else ""
        what = f"step {step.number}" if type(step) is Step and step.invocation == number else "turn"
        if type(step) is Step and step.next == number:
            what = f"goes on from #{step.invocation}"
        yield f"  {offset}  {when(step.time)}{after}  {what} ({_cause(step)})  {_status(step)}"
        for part in _parts(step, status=False):
            yield f"      {part}"
        last = step.time


def plain(partition: int, entry: Entry) -> dict[str, Any]:
    """A record as plain values."""
    head = {"partition": partition, "offset": entry.offset, "time": entry.time, "counts": entry.counts}
    if entry.record is None:
        return {**head, "kind": "unreadable"}
    return {**head, **plain_body(entry.record)}


def plain_body(record: JournalRecord) -> dict[str, Any]:
    """The same, without where it stands."""
    body: dict[str, Any] = dict(record._asdict())
    body["record_time"] = body.pop("time")
    if isinstance(record, Turn | Step):
        body["status"] = Status(record.status).name.lower()
        body["patch"] = [{**c._asdict(), "value": _value(c.value)} for c in record.patch]
        body["outs"] = [
            {**o._asdict(), "kind": OutKind(o.kind).name.lower(), "payload": _value(o.payload)}
            for o in record.outs
        ]
    if type(record) is Step:
        begin = record.begin
        body["begin"] = None if begin is None else {
            **begin._asdict(), "payload": _value(begin.payload),
            "base": None if begin.base is None else [
                {**c._asdict(), "value": _value(c.value)} for c in begin.base
            ],
        }  # fmt: skip
        body["commands"] = [
            {**c._asdict(), "kind": CommandKind(c.kind).name.lower()} for c in record.commands
        ]
        body["completions"] = [
            {**c._asdict(), "value": _value(c.value)} for c in record.completions
        ]  # fmt: skip
    elif type(record) is Mark:
        body["inboxes"] = [
            {**i._asdict(), "origins": [o._asdict() for o in i.origins]} for i in record.inboxes
        ]
    return {"kind": type(record).__name__.lower(), **body}


def _head(r: Turn | Step) -> str:
    actor = parse(r.actor).short if r.actor else "–"
    if type(r) is Step:
        return f"{actor}#{r.invocation} {r.handler} step {r.number} ({_cause(r)})"
    return f"{actor} #{r.seq} {r.handler or '–'} ({_cause(r)})"


def _cause(r: Turn | Step) -> str:
    if r.cause_offset >= 0:
        return f"{r.cause_topic}/{r.cause_offset}"
    return r.cause_topic or "by itself"


def _status(r: Turn | Step) -> str:
    if type(r) is Step and r.next:
        return f"goes on as #{r.next}"
    return "waits" if r.status == WAITING else Status(r.status).name.lower()


def _parts(r: Turn | Step, status: bool = True) -> Iterator[str]:
    if type(r) is Step:
        yield from (_completion(c) for c in r.completions if c.number != Control.LED)
    if status and (r.status or type(r) is Step):
        yield _status(r)
    if r.fresh:
        yield "state begins anew"
    for c in r.patch:
        name = c.field if c.key is None else f"{c.field}[{readable(c.key)}]"
        yield f"{name} deleted" if c.value is None else f"{name}={_short(c.value)}"
    if type(r) is Step:
        yield from (_command(r, c) for c in r.commands)
    yield from (_out(out) for out in r.outs)


def _completion(c: Completion) -> str:
    if c.number == Control.NOTED:
        return _attempt(c) if c.failed else "noted"
    if c.number == Control.RESTART:
        return f"restart from {c.value.decode(errors='replace')}"
    if c.number == Control.STUCK:
        return f"stuck: {c.value.decode(errors='replace')}"
    if c.number == Control.SEEN:
        return _seen(c)
    if c.number < 0:
        return Control(c.number).name.lower()
    return f"← {c.number} {'failed: ' + failure_of(c) if c.failed else _short(c.value)}"


def _seen(c: Completion) -> str:
    """What a handler beside others has seen of its actor's state."""
    sight = msgspec.json.decode(c.value)
    whole = sight.get("whole", [])
    names = [*sight.get("fields", {}), *(f"all of {field}" for field in whole)]
    for field, entries in sight.get("entries", {}).items():
        names += [f"{field}[{readable(key)}]" for key in entries if field not in whole]
    for field, spans in sight.get("spans", {}).items():
        for a, b in spans:
            names.append(f"{field} from {bound(a) or 'the first'} to {'the last' if b is None else bound(b)}")
    return f"saw {', '.join(names)}" if names else "saw no state"


def _attempt(c: Completion) -> str:
    a = decode_attempt(c.value)
    if a is None:
        return f"to be tried again: {failure_of(c)}"
    what = f"{a.step}: attempt" if a.step >= 0 else "attempt"
    again = f", asks again for {', '.join(map(str, a.undone.again))}" if a.undone is not None else ""
    return f"{what} {a.number} of {a.of} failed, next at {when(a.next)}{again}: {a.code}: {a.detail}"


def _command(r: Step, c: Command) -> str:
    kind = CommandKind(c.kind)
    what = c.name
    if kind == CommandKind.SLEEP:
        what = f"until {when(c.due)}"
    elif kind == CommandKind.AWAKEABLE:
        what = make_id(f"{r.actor}#{r.invocation}.{c.number}", c.name)
    return f"{c.number}: {kind.name.lower()} {what}".rstrip()


def _out(out: Out) -> str:
    target = f" {out.target}" if out.kind in _ADDRESSED else ""
    handler = f" {out.handler}" if out.handler else ""
    return f"→ {OutKind(out.kind).name.lower()}{target}{handler} {_short(out.payload)}".rstrip()


def _short(data: bytes) -> str:
    text = data.decode(errors="replace")
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _value(data: bytes | None) -> Any:
    try:
        return None if data is None else msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data
