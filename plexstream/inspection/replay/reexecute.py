"""Running code again over what is recorded: does it still do what it did?

The state follows the record, not the code: each turn starts from what was, so one difference does not
make others. Handlers run in this process, and nothing that they send leaves it. Those that have waited run
again from their start with what is recorded of them, as a node would run them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from plexstream.coordination import system_type
from plexstream.hosts.load import Loaded
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.host import MAX_MESSAGE
from plexstream.hosts.native.turn.failures import RAISED
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.inspection.history import Progress, known_from, read, rebuild
from plexstream.inspection.replay.compared import turn_differs
from plexstream.inspection.replay.waited import Waited
from plexstream.log.base import Log
from plexstream.log.installation import entries, id_of
from plexstream.model.errors import Malformed, ReplayDiffers
from plexstream.model.host import Result, Suspended
from plexstream.model.journal.journal import DONE, MEANWHILE, WAITING, Step, Turn
from plexstream.model.journal.life import FIELD, SIGNALS, decode_life
from plexstream.model.journal.snapshot import Piece
from plexstream.model.journal.timer import decode_timer
from plexstream.model.messages.address import type_of
from plexstream.model.messages.message import ASK, Envelope
from plexstream.model.messages.text import said
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.processor.actors.actors import RAW
from plexstream.processor.actors.lives.lives import Lives
from plexstream.processor.actors.readers import EntryReader
from plexstream.processor.actors.times.ticks import TICK
from plexstream.processor.journal.sums.fold import MAILBOX, TIMER
from plexstream.processor.state.pieces import Pieces
from plexstream.schema import codec
from plexstream.schema.codec import decode_envelope

_MAX_LOADED = 10_000
_AHEAD = 1_000


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
    unknown: int  # turns and handlers of types that the code does not have
    waited: int  # handlers that waited and have ended, executed again
    waiting: int  # handlers that wait still, executed again to where they are
    ticks: int  # turns of timers in memory: no journal has their arguments
    ended: int  # handlers that were ended before they began, or by somebody else's answer
    loaded: int  # actors whose state, as it is in the end, the code has loaded
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
        types, salt = {**app.types, **SYSTEM_TYPES}, id_of(entries(log, topics))
        self._host = NativeHost(types, app.version, max_message=max_message, salt=salt, more=system_type)
        self._waited = Waited(self._host)
        self._loaded: dict[str, Any] = {}
        self.executed = self.trimmed = self.without_code = self.unknown = 0
        self.waited = self.waiting = self.ticks = self.ended = self.loaded = 0

    def turn(self, offset: int, turn: Turn | Step, pieces: Pieces) -> None:
        """Execute one recorded turn on the state before it. Raises _Found."""
        if type(turn) is Step:
            self._loaded.pop(turn.actor, None)
            if turn.status == MEANWHILE and not turn.next:
                self._turn(offset, Turn(*turn[:18])._replace(status=DONE), pieces)
                self._loaded.pop(turn.actor, None)
            elif turn.status != WAITING:
                self._step(offset, turn, pieces)
            return
        assert type(turn) is Turn
        self._turn(offset, turn, pieces)

    def rest(self, pieces: Pieces) -> None:
        """Run those again that wait still, to where they are. Raises _Found."""
        for address, found in list(pieces.histories.pending.items()):
            for number in sorted(found):
                if self._host.type_info(type_of(address)) is None:
                    self.unknown += 1
                    continue
                what = self._waited.waits(address, number, pieces)
                self.waiting += what is not None
                if what:
                    handler = found[number].begin.handler
                    raise _Found(TurnDiffers(self._partition, -1, address, number, handler, what))

    def load(self, pieces: Pieces) -> None:
        """Load each actor as it is in the end, with all that its collections hold. Raises _Found.

        An actor that has handled nothing since the journal was trimmed is loaded by nothing else.
        """
        for piece in pieces.store.scan(Piece.ACTOR.value):
            address = piece.address
            if self._host.type_info(type_of(address)) is None:
                self.unknown += 1
                continue
            core = pieces.core(address)
            try:
                instance = self._host.activate(
                    type_of(address), address, core.fields, EntryReader(pieces, address)
                )
                instance.read_all()
            except Exception as error:  # the user's hooks, or state that the code no longer accepts
                what = f"its state as it is now cannot be loaded: {said(error)}"
                raise _Found(TurnDiffers(self._partition, -1, address, core.seq, "", [what])) from error
            self.loaded += 1

    def _step(self, offset: int, step: Step, pieces: Pieces) -> None:
        """The end of a handler that has waited."""
        if self._host.type_info(type_of(step.actor)) is None:
            self.unknown += 1
            return
        number = step.invocation
        if step.status == MEANWHILE:  # within a workflow's run, whose history has no more than that it ended
            number = step.next
            what = self._waited.waits(step.actor, number, pieces)
        else:
            what = self._waited.ended(step, pieces)
        self.waited += what is not None
        self.ended += what is None
        if what:
            raise _Found(TurnDiffers(self._partition, offset, step.actor, number, step.handler, what))

    def _turn(self, offset: int, turn: Turn, pieces: Pieces) -> None:
        handled = turn.seq and turn.handler and turn.cause_topic in (MAILBOX, TIMER)
        if turn.cause_topic == TICK and turn.handler:
            self.ticks += 1
        elif not handled:
            self.without_code += 1
        elif self._host.type_info(type_of(turn.actor)) is None:
            self.unknown += 1
        elif (message := self._message(turn, pieces)) is None:
            self.trimmed += 1
        else:
            what = self._execute(turn, message, pieces)
            if what is None:
                self.without_code += 1
            else:
                self.executed += 1
                if what:
                    raise _Found(
                        TurnDiffers(self._partition, offset, turn.actor, turn.seq, turn.handler, what)
                    )
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

    def _execute(self, turn: Turn, e: Envelope, pieces: Pieces) -> list[str] | None:
        """Each difference; None where no code of the actor runs."""
        core = pieces.core(turn.actor)
        life = decode_life(core.fields.get(FIELD))
        handler, payload, ruling = turn.handler, e.payload, None
        type_name = type_of(turn.actor)
        info = self._host.type_info(type_name)
        assert info is not None
        if life is not None or handler in SIGNALS:
            ruling = Lives(pieces).rule(turn.actor, life, core.seq > 0, info, e)
            handler, payload = ruling.handler, ruling.payload
            if ruling.code or not handler:
                return None
        elif handler.startswith("$"):
            return None  # answered by the processor itself
        reader = EntryReader(pieces, turn.actor)
        try:
            if turn.fresh:
                instance = self._host.activate(type_name, turn.actor, {}, reader)
            else:
                instance = self._loaded.pop(turn.actor, None)
                if instance is None:
                    instance = self._host.activate(type_name, turn.actor, core.fields, reader)
        except Exception as error:  # the user's hook, or state that the code no longer accepts
            return [f"the actor cannot be loaded: {type(error).__name__}: {error}"]
        init = turn.fresh or (info.init and (core.seq == 0 or RAW in core.fields))
        result = self._host.invoke(
            instance, handler, payload, turn.seq, turn.time, turn.sender, turn.message_id,
            e.headers.get("read_only") == "1", fresh=init, reply_to=e.reply_to if e.kind == ASK else "",
        )  # fmt: skip
        if type(result) is not Result:
            if type(result) is Suspended:
                self._host.drop(result.task)
            return ["the handler waits now, and did not then"]
        what = turn_differs(turn, result, pieces, ruling, life)
        if not turn.fresh and not what:
            self._loaded[turn.actor] = instance
            if len(self._loaded) > _MAX_LOADED:
                self._loaded.pop(next(iter(self._loaded)))
        return what


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
        with _silent():
            found = rebuild(log, topics, partition, until=until, progress=progress, on_turn=again.turn)
            now = Pieces(found.store, split_fields, 0, codec)
            now.histories.load()
            again.rest(now)
            again.load(now)
    except _Found as other:
        first = other.difference
    return Report(
        partition,
        begin,
        again.executed,
        again.trimmed,
        again.without_code,
        again.unknown,
        again.waited,
        again.waiting,
        again.ticks,
        again.ended,
        again.loaded,
        first,
    )


@contextmanager
def _silent() -> Iterator[None]:
    """Without the tracebacks of what handlers raise: failures are recorded ones, or differences."""
    log = logging.getLogger("plexstream.actor")
    no_tracebacks = lambda record: not hasattr(record, next(iter(RAISED)))  # noqa: E731
    log.addFilter(no_tracebacks)
    try:
        yield
    finally:
        log.removeFilter(no_tracebacks)


def check(reports: list[Report]) -> None:
    """For gates: an error where any turn differs. Raises ReplayDiffers."""
    for report in reports:
        if report.first is not None:
            f = report.first
            where = f"{f.handler or 'its state'}, partition {f.partition} {place(f)}"
            raise ReplayDiffers(f"{f.actor} turn {f.seq} ({where}): " + "; ".join(f.what))


def place(found: TurnDiffers) -> str:
    """Where a difference is, for people."""
    return f"offset {found.offset}" if found.offset >= 0 else "as of now"
