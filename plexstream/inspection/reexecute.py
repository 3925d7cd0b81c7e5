"""Running code again over what is recorded: does it still do what it did?

The state follows the record, not the code: each turn starts from what was, so one difference does not
make others. Handlers run in this process, and nothing that they send leaves it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.host import MAX_MESSAGE
from plexstream.hosts.native.load import Loaded
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.inspection.history import Progress, known_from, read, rebuild
from plexstream.log.base import Log
from plexstream.log.installation import entries, id_of
from plexstream.model.address import type_of
from plexstream.model.errors import Malformed, ReplayDiffers
from plexstream.model.host import Result
from plexstream.model.journal import MEANWHILE, WAITING, Change, Out, OutKind, Step, Turn
from plexstream.model.life import EXIT, FIELD, SIGNALS, decode_life
from plexstream.model.message import ASK, Envelope
from plexstream.model.timer import CRON, decode_timer
from plexstream.model.topics import Topics
from plexstream.processor.actors import EntryReader
from plexstream.processor.calls import take
from plexstream.processor.fold import MAILBOX, TIMER
from plexstream.processor.kept import result_out
from plexstream.processor.pieces import Pieces
from plexstream.schema.codec import decode_envelope

_MAX_LOADED = 10_000
_AHEAD = 1_000
_CANCEL = OutKind.CANCEL.value
_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value
_TIMER, _TICK = OutKind.TIMER.value, OutKind.TICK.value
_CODES = {1: "rejected", 2: "failed"}


class TurnDiffers(NamedTuple):
    """The first turn that did something else."""

    partition: int
    offset: int
    actor: str
    seq: int
    handler: str
    what: list[str]  # each difference, recorded against now


class Report(NamedTuple):
    """What re-execution of a partition found. `first`: None where everything is as recorded."""

    partition: int
    begin: int  # journal offset from which turns could be executed again
    executed: int
    trimmed: int  # turns whose messages are no longer in the mailbox
    without_code: int  # turns that no handler made: refusals, timers passed on, tools
    unknown: int  # turns of types that the code does not have
    waited: int  # handlers that waited and have ended: they are not executed again
    first: TurnDiffers | None


class _Found(Exception):
    def __init__(self, difference: TurnDiffers) -> None:
        super().__init__()
        self.difference = difference


class _Mailbox:
    """Messages by offset, read in the order in which turns ask for them."""

    def __init__(self, log: Log, topics: Topics, partition: int) -> None:
        self._log = log
        self._place = (topics.mailbox, partition)
        self.first, self._end = log.range(self._place)
        self._known: dict[int, Envelope | None] = {}
        self._next = self.first

    def get(self, offset: int) -> Envelope | None:
        """The message at `offset`; None if it is no longer there."""
        if not self.first <= offset < self._end:
            return None
        while offset >= self._next:
            to = min(self._end, max(self._next + _AHEAD, offset + 1))
            for records in read(self._log, self._place, self._next, to):
                for r in records:
                    try:
                        self._known[r.offset] = decode_envelope(r.value or b"")
                    except Malformed:
                        self._known[r.offset] = None
            self._next = to
        return self._known.pop(offset, None)


class _Again:
    """Executes the turns of one partition again."""

    def __init__(self, log: Log, topics: Topics, partition: int, app: Loaded, max_message: int) -> None:
        self._partition = partition
        self._mailbox = _Mailbox(log, topics, partition)
        self._types = {**app.types, **SYSTEM_TYPES}
        salt = id_of(entries(log, topics))
        self._host = NativeHost(self._types, app.version, max_message=max_message, salt=salt)
        self._loaded: dict[str, Any] = {}
        self.executed = self.trimmed = self.without_code = self.unknown = self.waited = 0

    def turn(self, offset: int, turn: Turn | Step, pieces: Pieces) -> None:
        """Execute one recorded turn on the state before it. Raises _Found."""
        if type(turn) is Step:
            self.waited += turn.status not in (WAITING, MEANWHILE)
            self._loaded.pop(turn.actor, None)
            return
        assert type(turn) is Turn
        message = self._message(turn, pieces)
        handled = turn.seq and turn.handler and turn.cause_topic in (MAILBOX, TIMER)
        if not handled or turn.handler in SIGNALS or _stopped(turn, pieces):
            self.without_code += 1
        elif type_of(turn.actor) not in self._types:
            self.unknown += 1
        elif message is None:
            self.trimmed += 1
        else:
            self.executed += 1
            what = self._execute(turn, message, pieces)
            if what:
                raise _Found(TurnDiffers(self._partition, offset, turn.actor, turn.seq, turn.handler, what))
            return
        # Not executed, so the object in memory is not what the record says any more.
        self._loaded.pop(turn.actor, None)

    def _message(self, turn: Turn, pieces: Pieces) -> Envelope | None:
        if turn.cause_topic == MAILBOX:
            return self._mailbox.get(turn.cause_offset)
        if turn.cause_topic != TIMER:
            return None
        timer = pieces.timer(turn.sender, turn.message_id)
        if timer is None:
            return None
        payload = decode_timer(timer.data).payload
        return Envelope(0, timer.name, turn.actor, turn.handler, payload, timer.address)

    def _execute(self, turn: Turn, e: Envelope, pieces: Pieces) -> list[str]:
        reader = EntryReader(pieces, turn.actor)
        type_name = type_of(turn.actor)
        try:
            if turn.fresh:
                instance = self._host.activate(type_name, turn.actor, {}, reader)
            else:
                instance = self._loaded.pop(turn.actor, None)
                if instance is None:
                    fields = pieces.core(turn.actor).fields
                    instance = self._host.activate(type_name, turn.actor, fields, reader)
        except Exception as error:  # the user's hook, or state that the code no longer accepts
            return [f"the actor cannot be loaded: {type(error).__name__}: {error}"]
        result = self._host.invoke(
            instance, turn.handler, e.payload, turn.seq, turn.time, turn.sender, turn.message_id,
            e.headers.get("read_only") == "1", fresh=turn.fresh, reply_to=e.reply_to if e.kind == ASK else "",
        )  # fmt: skip
        if type(result) is not Result:
            return ["the handler waits now, and did not then"]
        what = _compare(turn, result, pieces)
        if not turn.fresh and not what:
            self._loaded[turn.actor] = instance
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.pop(next(iter(self._loaded)))
        return what


def _compare(turn: Turn, result: Result, pieces: Pieces) -> list[str]:
    now = result.code and ("rejected" if result.code == "rejected" else "failed")
    recorded = _CODES.get(turn.status, "")
    if now != recorded:
        detail = f": {result.detail}" if result.detail else ""
        return [f"status: recorded {recorded or 'done'}, now {now or 'done'}{detail}"]
    if recorded:
        return _compare_refusal(turn, result)
    patch = list(turn.patch)
    if turn.fresh:
        dropped = sum(not field.startswith("$") for field, _, _ in pieces.entries(turn.actor))
        patch = patch[dropped:]
    patch = [change for change in patch if not change.field.startswith("$")]
    taken = take(pieces, turn.actor, result.outs)
    result = result._replace(outs=taken.outs)
    return [*_compare_patch(patch, result.patch), *_compare_outs(turn, result, taken.later)]


def _stopped(turn: Turn, pieces: Pieces) -> bool:
    life = decode_life(pieces.core(turn.actor).fields.get(FIELD))
    return life is not None and life.stopped


def _compare_refusal(turn: Turn, result: Result) -> list[str]:
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


def _compare_patch(recorded: list[Change], now: list[Change]) -> list[str]:
    old = {(c.field, c.key): c.value for c in recorded}
    new = {(c.field, c.key): c.value for c in now}
    found = []
    for field, key in dict.fromkeys([*old, *new]):
        name = field if key is None else f"{field}[{key}]"
        before, after = _said(old, (field, key)), _said(new, (field, key))
        if before != after:
            found.append(f"{name}: recorded {before}, now {after}")
    return found


def _said(patch: dict[tuple[str, str | None], bytes | None], key: tuple[str, str | None]) -> str:
    if key not in patch:
        return "unchanged"
    value = patch[key]
    return "deleted" if value is None else value.decode(errors="replace")


def _compare_outs(turn: Turn, result: Result, later: bool) -> list[str]:
    now = [o for o in result.outs if o.handler not in SIGNALS and o.kind != _TICK]
    if turn.cause_kind == ASK and not later:
        own = (o.target for o in turn.outs if o.kind == _REPLY and o.id == turn.message_id)
        target = next(own, "")
        now.append(Out(_REPLY, turn.message_id, target, "", result.value))
    now += result_out(turn.cause_kind, turn.idempotency_key, result.value)
    said = {o.id for o in now if o.kind == _TIMER}
    recorded = [
        o for o in turn.outs
        if o.handler not in SIGNALS and not (_by_the_system(o, turn) and o.id not in said)
    ]  # fmt: skip
    if any(o.handler == EXIT and o.target == turn.actor for o in result.outs):
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
    words = [OutKind(out.kind).name.lower(), out.target, out.handler, out.payload.decode(errors="replace")]
    if out.due:
        words.append(f"due {out.due}")
    return " ".join(w for w in words if w)


def reexecute(
    log: Log,
    topics: Topics,
    partition: int,
    app: Loaded,
    *,
    max_message: int = MAX_MESSAGE,
    at: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a partition's recorded messages again, up to the first turn that differs.

    Parameters:
        app: the code to run.
        max_message: as the nodes had it: a message that was too large then is so now.
        at: the journal offset after which to stop; None: its present end.

    Raises:
        HistoryGone: there is no offset as of which the state is known, or not up to `at`.
    """
    again = _Again(log, topics, partition, app, max_message)
    _, begin = known_from(log, topics, partition)
    first = None
    try:
        until = None if at is None else at + 1
        rebuild(log, topics, partition, until=until, progress=progress, on_turn=again.turn)
    except _Found as found:
        first = found.difference
    return Report(
        partition,
        begin,
        again.executed,
        again.trimmed,
        again.without_code,
        again.unknown,
        again.waited,
        first,
    )


def check(reports: list[Report]) -> None:
    """For gates: an error where any turn differs. Raises ReplayDiffers."""
    for report in reports:
        if report.first is not None:
            f = report.first
            raise ReplayDiffers(
                f"{f.actor} turn {f.seq} ({f.handler}, partition {f.partition} offset {f.offset}): "
                + "; ".join(f.what)
            )
