"""Asks and tells straight over the log: the one core of the HTTP edge and of every client.

A call is an `Envelope` appended to the mailbox of its target's partition. A tell is done when that is
durable; an ask when its reply has been read from the `reply` topic, at the partition of this edge's id.

Three threads serve any number of callers. The sender (`sending/`) appends; another (`replies.py`) reads
replies; the third (`deadlines.py`) ends calls that have passed their deadline. A fourth (`growth.py`)
sleeps, and looks once a minute whether somebody has added partitions. Measured with 256 asyncio callers in
one process: 16 µs of CPU an ask, the threads and the caller together.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache, partial
from itertools import count

from plexstream.edge.calls.deadlines import Deadlines
from plexstream.edge.calls.growth import Growth
from plexstream.edge.calls.replies import Replies
from plexstream.edge.calls.sending.gathering import Gathering
from plexstream.edge.calls.sending.sender import Sender
from plexstream.edge.calls.sending.ways import MAX_STUCK, MAX_WAY, Sending
from plexstream.edge.calls.waiters import FUTURES, Done, Pending, Sink, deliver
from plexstream.log.base import Item, Log, Place
from plexstream.log.installation import partitions_of
from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import (
    BadArguments,
    LogUnavailable,
    Overloaded,
    TimedOut,
    TooLarge,
)
from plexstream.model.messages import address, again, idempotency
from plexstream.model.messages.message import ASK, TELL, Envelope, with_deadline
from plexstream.model.process.threads import Lasting
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import encode_envelope

READ_ONLY = {"read_only": "1"}
"""Headers of an ask that must change nothing: another handler refuses it with `not_read_only`."""

DEFAULT_TIMEOUT = 30.0
MAX_TIMEOUT = 86_400.0
MAX_PAYLOAD = 1 << 20
MAX_IN_FLIGHT = 10_000
MAX_UNACKNOWLEDGED = 64 << 20
"""Bytes on their way to the log: half of what an appender on Kafka takes before it blocks."""
MAX_NAME = 256  # characters of a handler's name, and of an idempotency key

_TICK = 0.01  # a call ends at its deadline or up to this much later

_Route = tuple[str, bytes, Place]
_new = tuple.__new__  # a named tuple's own costs twice the time


class Calls:
    """Makes calls over `log`. Thread-safe; not to be used after a fork.

    Args:
        topics: the names of the topics, which must exist.
        edge_id: names this edge in `reply_to`; by default random, and unique. Several may share one:
            each takes only the replies to its own calls.
        max_payload: bytes of arguments; more is refused before anything is sent.
        max_in_flight: calls that may wait at once; one more is refused.
        partitions: of the installation, where that is known; by default the log is asked.

    Raises:
        TopicMissing: the mailbox or the reply topic does not exist, or has another number of partitions than
            the installation began with.
        LogUnavailable: the log cannot be reached now.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        *,
        edge_id: str | None = None,
        max_payload: int = MAX_PAYLOAD,
        max_in_flight: int = MAX_IN_FLIGHT,
        partitions: int | None = None,
    ) -> None:
        self.topics = topics
        self.edge_id = edge_id or secrets.token_urlsafe(9)
        self.partitions = partitions or partitions_of(log, topics)
        self.max_payload = max_payload
        self.max_in_flight = max_in_flight
        # A given id may come back after a restart, when replies to its earlier life may still arrive.
        self._prefix = f"{self.edge_id}-{secrets.token_urlsafe(6)}-" if edge_id else f"{self.edge_id}-"
        self._numbers = count(1)
        self._pending: dict[str, Pending] = {}
        self._closed = False
        # Workers know one number of partitions, whatever the reply topic has.
        place = (topics.reply, address.partition_of(self.edge_id, self.partitions))
        self.replies = Replies(log, place, self.edge_id, self._prefix, self._pending)

        @lru_cache(maxsize=65_536)
        def route(target: str) -> _Route:
            full = address.full(target)
            return full, full.encode(), (topics.mailbox, address.partition_of(full, self.partitions))

        self._route = route
        # Now, where waiting is expected: nothing that is asked later may wait for a broker.
        log.prepare([topics.mailbox, topics.reply])
        gathering = Gathering(self._pending.__len__, partial(_older, self._pending))
        self._sender = Sender(log, self._settled, name=self.edge_id, gathering=gathering)
        self._ways = self._sender.ways
        self._deadlines = Deadlines(self._expire, name=self.edge_id)
        self._put = self._sender.put
        self.growth = Growth(log, topics, self.partitions, name=self.edge_id)
        self.replies.start()

    # -- calling ---------------------------------------------------------------------------------

    def ask(
        self,
        target: str,
        handler: str,
        payload: bytes,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        idempotency_key: str = "",
        headers: dict[str, str] | None = None,
    ) -> Future[bytes]:
        """Ask the actor `target`; the future gets the result's JSON, or a CallError.

        Args:
            target: the address of an actor, in its full or short form.
            payload: the arguments, a JSON object.
            timeout: seconds until the future gets TimedOut. The call may take effect all the same.
            idempotency_key: a call with a key that was seen before has no effect, and the first one's result.

        Raises, like `tell`, before anything is sent:
            BadAddress: `target` is no address.
            BadArguments: the handler's name, the key or the timeout cannot be.
            TooLarge: the payload is over `max_payload`.
            Overloaded: `max_in_flight` calls are waiting.
            LogUnavailable: this has been closed.
        """
        future: Future[bytes] = Future()
        self.submit(ASK, target, handler, payload, timeout, idempotency_key, headers, FUTURES, future)
        return future

    def tell(
        self,
        target: str,
        handler: str,
        payload: bytes,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        idempotency_key: str = "",
        headers: dict[str, str] | None = None,
    ) -> Future[None]:
        """Send a message to the actor `target`; the future is done when the message is durable.

        It gets TimedOut when that is not known in time, and LogUnavailable when the outcome is unknown.
        """
        future: Future[None] = Future()
        self.submit(TELL, target, handler, payload, timeout, idempotency_key, headers, FUTURES, future)
        return future

    def begin(
        self, target: str, handler: str, payload: bytes, *, timeout: float = DEFAULT_TIMEOUT,
        idempotency_key: str = "",
    ) -> tuple[str, Future[None]]:  # fmt: skip
        """As `tell`, of a message whose outcome is kept: with the id of the invocation that it begins."""
        future: Future[None] = Future()
        id = self.submit(
            TELL, target, handler, payload, timeout, idempotency_key, None, FUTURES, future, keep=True
        )
        return id, future

    def append(
        self, topic: str, partition: int, items: Sequence[Item], *, sink: Sink, waiter: object,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:  # fmt: skip
        """Append records to any topic; finished like a tell. Raises Overloaded or LogUnavailable."""
        place = (topic, partition)
        self._admit(place)
        id = f"{self._prefix}{next(self._numbers)}"
        now = time.monotonic()
        deadline = now + timeout
        what = f"records for {topic}/{partition}"
        self._pending[id] = (sink, waiter, deadline, TELL, what, timeout, place, again.RECORDS)
        self._put(Sending(place, items, id, True, deadline, now))
        self._deadlines.watch(deadline)
        if self._closed:
            self._refuse_closed(id)

    def submit(
        self,
        kind: int,
        target: str,
        handler: str,
        payload: bytes,
        timeout: float,
        idempotency_key: str,
        headers: dict[str, str] | None,
        sink: Sink,
        waiter: object,
        keep: bool = False,
        put: Callable[[Sending], object] | None = None,
    ) -> str:
        """Send one call and return its message id; `sink` gets `waiter` with the outcome, exactly once.

        With `keep`, what it comes to is kept without a key, too, and the id is that of its invocation.
        `put` takes what is to be sent, and hands it to `send` soon, by default at once.

        Raises what `ask` raises; then `sink` gets nothing.
        """
        full, key, place = self._route(target)
        if len(payload) > self.max_payload:
            raise TooLarge(
                f"{full}.{handler}: arguments of {len(payload)} bytes, at most {self.max_payload} are allowed"
            )
        if not 0 < timeout <= MAX_TIMEOUT:
            raise BadArguments(f"timeout {timeout!r}: give seconds above 0, at most {MAX_TIMEOUT:.0f}")
        _check_handler(handler)
        if idempotency_key:
            check_key(idempotency_key)
        self._admit(place)
        id, sent = f"{self._prefix}{next(self._numbers)}", int(time.time() * 1000)
        id = with_deadline(id, sent + int(timeout * 1000)) if kind == ASK else id
        then = again.next_step(handler, idempotency_key, headers)
        if keep and not idempotency_key:
            idempotency_key = idempotency.own_mark(id)
        value = encode_envelope(_new(Envelope, (
            kind, id, full, handler, payload, "", self.edge_id if kind == ASK else "", idempotency_key,
            sent, headers or {}, "", 0, 0,
        )))  # fmt: skip
        now = time.monotonic()
        deadline = now + timeout
        self._pending[id] = (sink, waiter, deadline, kind, f"{full}.{handler}", timeout, place, then)
        (put or self._put)(_new(Sending, (place, ((key, value),), id, kind == TELL, deadline, now)))
        self._deadlines.watch(deadline)
        if self._closed:
            self._refuse_closed(id)
        if not keep:
            return id
        return idempotency.make_id(full, handler, idempotency.mark(idempotency_key, payload))

    def send(self, sendings: list[Sending]) -> None:
        """Hand to the sender what `submit` has put elsewhere, all at once: it is woken for all together."""
        for sending in sendings:
            self._put(sending)

    def _refuse_closed(self, id: str) -> None:
        """Take back a call that was made while this was closed, unless `close` has ended it."""
        if (call := self._pending.pop(id, None)) is not None:
            raise LogUnavailable(f"this client was closed meanwhile: open a new one; {call[7]}")

    def _admit(self, place: Place) -> None:
        if self._closed:
            raise LogUnavailable("this client has been closed: open a new one; nothing was sent")
        way = self._ways.get(place)
        if way is not None and way.bytes > MAX_STUCK:
            if stuck := way.stuck(time.monotonic()):
                raise LogUnavailable(
                    f"{place[0]}[{place[1]}] has acknowledged nothing for {stuck:.1f} s, and {way.bytes} "
                    "bytes wait for the log to take them; nothing was sent: see whether its brokers are up "
                    "and in sync (min.insync.replicas), and try again later"
                )
            if way.bytes > MAX_WAY:
                raise Overloaded(
                    f"{way.bytes} bytes for {place[0]}[{place[1]}] wait for the log to acknowledge; nothing "
                    "was sent: try again later"
                )
            if self._sender.moving() > MAX_UNACKNOWLEDGED:
                raise Overloaded(
                    f"{self._sender.unacknowledged} bytes wait for the log to acknowledge; nothing was sent: "
                    "see whether the broker is up, and try again later"
                )
        if len(self._pending) >= self.max_in_flight:
            raise Overloaded(
                f"{len(self._pending)} calls are waiting, as many as max_in_flight allows; nothing was sent: "
                "try again later"
            )

    @property
    def threads(self) -> list[Lasting]:
        """What must run for calls to be made."""
        return [self._sender.thread, self.replies.thread, self._deadlines.thread, self.growth.thread]

    @property
    def in_flight(self) -> int:
        """The number of calls that wait."""
        return len(self._pending)

    @property
    def appender_failures(self) -> int:
        """How often the appender had to be replaced."""
        return self._sender.failures

    def close(self, timeout: float = 2.0) -> None:
        """Give what was sent `timeout` seconds to become durable, then end waiting calls with an error."""
        if self._closed:
            return
        self._closed = True
        self.growth.close()
        self._sender.close(timeout)
        self._deadlines.close()
        self.replies.close(timeout)
        self._fail(list(self._pending), "the client was closed")

    # -- on the threads of the sender and of the deadlines ---------------------------------------

    def _settled(self, ids: list[str], error: Exception | None) -> None:
        batches: dict[Sink, list[Done]] = {}
        failure: Exception | None = None
        if isinstance(error, RecordTooLarge):
            failure = TooLarge(str(error))
        for id in ids:
            call = self._pending.pop(id, None)
            if call is not None:
                if error is not None and type(failure) is not TooLarge:
                    failure = LogUnavailable(
                        f"the log failed while the message was on its way: {error}. Whether it arrived is "
                        f"unknown; {call[7]}"
                    )
                batches.setdefault(call[0], []).append((call[1], None, failure))
        deliver(batches)

    def _expire(self, now: float) -> float:
        """End the calls whose deadline has passed; returns when to look again.

        On a thread of its own. There is no timer for each call, nor a wheel: this looks at all that wait,
        once the earliest deadline that it knows of has passed. Calls end long before theirs, so that is rare.
        Broker away, 10,000 calls with deadlines all different: 0.5 ms, and at most every 10 ms.
        """
        earliest = float("inf")
        late: list[str] = []
        for id, call in self._pending.copy().items():
            if call[2] <= now:
                late.append(id)
            elif call[2] < earliest:
                earliest = call[2]
        self._fail(late, None)
        return max(earliest, now + max(_TICK, 20 * (time.monotonic() - now)))

    def _fail(self, ids: list[str], why: str | None) -> None:
        batches: dict[Sink, list[Done]] = {}
        for id in ids:
            call = self._pending.pop(id, None)
            if call is not None:
                sink, waiter, deadline, kind, what, timeout, place, then = call
                way = self._ways.get(place)
                stuck = 0.0 if way is None else way.stuck(time.monotonic())
                error: Exception
                if stuck and way is not None and way.since <= deadline - timeout:  # so it waits as well
                    error = _not_taken(place, what, timeout, stuck, then)
                else:
                    error = _timed_out(kind, what, timeout, why, then)
                batches.setdefault(sink, []).append((waiter, None, error))
        deliver(batches)


def _older(pending: dict[str, Pending], before: float) -> int:
    """How many calls that have no outcome yet were made before then."""
    return sum([call[2] - call[5] < before for call in list(pending.values())])


@lru_cache(maxsize=4096)
def _check_handler(name: str) -> None:
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise BadArguments(f"handler {name[:40]!r}: give a name of 1 to {MAX_NAME} printable characters")


def check_key(key: str) -> None:
    """Raises BadArguments for what can be no idempotency key; an empty one is none."""
    if key and (len(key) > MAX_NAME or not key.isprintable()):
        raise BadArguments(f"idempotency key {key[:40]!r}: use 1 to {MAX_NAME} printable characters")


def _not_taken(place: Place, what: str, timeout: float, stuck: float, then: str) -> LogUnavailable:
    return LogUnavailable(
        f"{what}: the log has not acknowledged the message within {timeout:g} s ({place[0]}[{place[1]}] has "
        f"acknowledged nothing for {stuck:.1f} s: are its brokers up and in sync?); {then}"
    )


def _timed_out(kind: int, what: str, timeout: float, why: str | None, then: str) -> TimedOut:
    if kind == ASK:
        reason = why or f"within {timeout:g} s"
        return TimedOut(f"no reply from {what} {'before ' if why else ''}{reason}; {then}")
    reason = why or f"{timeout:g} s have passed"
    return TimedOut(f"{what}: {reason} before the log acknowledged; {then}")
