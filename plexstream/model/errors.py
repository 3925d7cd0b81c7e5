"""The one error tree.

PlexstreamError
├── ConfigError              a setting, a flag or a file is wrong; names the key
├── BadAddress               text that is no actor address
├── BadSchedule              a cron expression, a time zone or an interval that is none
├── Malformed                bytes that are not the record they should be
├── LogError                 the log refused or could not answer
│   ├── LogUnavailable       broker away, timed out; trying again may help
│   ├── LogDamaged           acknowledged records are missing or garbled; nothing is changed
│   ├── Fenced               a newer owner has taken over; forget everything
│   ├── Refused              records that the log never will take, by number or by topic
│   ├── HistoryGone          records that the state is made of are not on the log any more
│   ├── Unreadable           one partition cannot be read; others go on
│   │   └── Shortened        it ends before a position that is known: it has lost records
│   └── TopicMissing         a topic is not there, or has another number of partitions
├── StoreCorrupt             a state store cannot be read; it is rebuilt from the log
├── StoreUnavailable         a state store cannot be used for now (disk full, no file descriptors)
│   └── StoreInUse           another process has it open; two nodes share a data folder
├── CallError                what a caller gets instead of a result
│   ├── Rejected             the actor refused (``Reject``): a business answer, do not retry
│   ├── Failed               the handler raised; its turn was rolled back
│   ├── UnknownType          no actor type of that name is deployed
│   ├── UnknownHandler       the type has no such handler
│   ├── NotReadOnly          a read was asked of a handler that may change state
│   ├── BadArguments         the arguments do not fit the handler's signature
│   ├── TooLarge             a message, a result or a state is over its limit
│   ├── Stopped              the actor has exited or was stopped, until it is started again
│   ├── Ignored              the actor's init handler has it not started, which is no failure (``Ignore``)
│   ├── AlreadyStarted       an actor that is to be started lives already
│   ├── Overloaded           the mailbox is full; try again later
│   ├── Poisoned             the message killed its process several times
│   ├── TimedOut             no reply within the time limit; the call may still take effect
│   ├── StepFailed           a step of a handler that waits failed for good
│   ├── Cancelled            the invocation was cancelled
│   ├── Killed               the invocation was ended from outside, without a word to its code
│   ├── Deadlock             the call waits for itself: A asks B, which asks A
│   ├── NonDeterministic     a handler did not ask for what is recorded when it ran again
│   ├── HistoryTooLong       an invocation has too many steps
│   ├── AlreadyDone          a promise, an awakeable or a deferred reply that is completed already
│   ├── IdempotencyConflict  an idempotency key was used before, with other arguments
│   ├── UnknownInvocation    no such invocation, promise, awakeable or deferred reply waits here
│   ├── BlobMissing          a container has no blob of that name
│   ├── BlobCorrupt          what the object store has is not what was put there
│   ├── BlobsUnavailable     the object store did not do what it was asked for; trying again may help
│   └── NoBlobStore          this node has no object store, or its store cannot do that
└── ReplayDiffers            re-execution did something else than what is recorded
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class PlexstreamError(Exception):
    """Root of every error that plexstream raises on purpose."""


class ConfigError(PlexstreamError):
    """A setting, a flag or a file is wrong. The message names the key and what to write instead."""


class BadAddress(PlexstreamError, ValueError):
    """Text that is no actor address."""


class BadSchedule(PlexstreamError, ValueError):
    """A cron expression, a time zone or an interval that is none. The message says what it may be."""


class Malformed(PlexstreamError, ValueError):
    """Bytes that are not the record they should be."""


class LogError(PlexstreamError):
    """The log refused a request or could not answer it."""


class LogUnavailable(LogError):
    """The log is away for now (a broker restarts, a time limit passed); trying again may help."""


class LogDamaged(LogError):
    """Acknowledged records are missing or garbled: the message says where. Trying again does not help."""


class Fenced(LogError):
    """A newer owner has taken over. Whoever gets this forgets all it knows and releases nothing."""


class Refused(LogError):
    """The log refuses records for good: handing them over again will not help. Nothing was written.

    Attributes:
        records: why, by the place of a record among those that were handed over.
        topics: why, where it is all records of a topic.
        exact: each of `records` is to blame; else some may only have been sent together with one that is.
    """

    def __init__(
        self,
        detail: str,
        records: Mapping[int, str] | None = None,
        topics: Mapping[str, str] | None = None,
        *,
        exact: bool = True,
    ) -> None:
        super().__init__(detail)
        self.records = dict(records or {})
        self.topics = dict(topics or {})
        self.exact = exact


class HistoryGone(LogError):
    """What a state is made of is not on the log (any more), and no snapshot stands in for it."""


class Unreadable(LogError):
    """One partition cannot be read, and its reader has stopped reading it; others go on.

    Attributes:
        topic, partition: which.
    """

    def __init__(self, message: str, topic: str, partition: int) -> None:
        super().__init__(message)
        self.topic = topic
        self.partition = partition


class Shortened(Unreadable):
    """A partition ends before a position that is known: it has lost records, or is another one by now.

    What comes next has numbers that were given out before. Nobody may wait for the position in silence.

    Attributes:
        position: up to where it is known; `end`: where it ends.
    """

    def __init__(self, topic: str, partition: int, position: int, end: int) -> None:
        super().__init__(
            f"offset {position} of {topic}[{partition}] is beyond its end {end}: the log has lost records, "
            "or it is not the log that the offset comes from",
            topic,
            partition,
        )
        self.position = position
        self.end = end


class TopicMissing(LogError):
    """A topic is not there, or has another number of partitions than its siblings."""


class StoreCorrupt(PlexstreamError):
    """A state store cannot be read. It is only a cache of the log, and is rebuilt."""


class StoreUnavailable(PlexstreamError):
    """A state store cannot be used for now: a full disk, no more files. Nothing is wrong with it."""


class StoreInUse(StoreUnavailable):
    """Another process has the state store open: two nodes share a data folder, or an old one still runs."""


class ReplayDiffers(PlexstreamError):
    """Re-execution did something else than what the journal records."""


class CallError(PlexstreamError):
    """What a caller gets instead of a result.

    Attributes:
        code: a stable name of the kind of error, as in replies, problem documents and metrics.
        status: the HTTP status that stands for it.
        detail: what went wrong and what to do, for people.
        data: more about it, JSON-compatible, or None.
    """

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500

    def __init__(self, detail: str = "", data: Any = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.data = data


class Rejected(CallError):
    """The actor refused: nothing was changed, and trying again will not help."""

    code = "rejected"
    status = 409


class Failed(CallError):
    """The handler raised. Its turn was rolled back."""

    code = "failed"
    status = 500


class UnknownType(CallError):
    """No actor type of that name is deployed."""

    code = "unknown_type"
    status = 404


class UnknownHandler(CallError):
    """The actor type has no handler of that name."""

    code = "unknown_handler"
    status = 404


class NotReadOnly(CallError):
    """A read was asked of a handler that may change state."""

    code = "not_read_only"
    status = 405


class BadArguments(CallError):
    """The arguments do not fit the handler's signature and type hints."""

    code = "bad_arguments"
    status = 422


class TooLarge(CallError):
    """A message, a result or a state is over its limit."""

    code = "too_large"
    status = 413


class Stopped(CallError):
    """The actor has exited or was stopped: it takes messages once it is started again."""

    code = "stopped"
    status = 409


class Ignored(CallError):
    """The actor's init handler has decided that it is not started. That is no failure."""

    code = "ignored"
    status = 409


class AlreadyStarted(CallError):
    """An actor that is to be started lives already, and goes on as it is."""

    code = "already_started"
    status = 409


class Overloaded(CallError):
    """The mailbox is full. Nothing was accepted; try again later."""

    code = "overloaded"
    status = 503


class Poisoned(CallError):
    """The message killed its process several times in a row and was put aside."""

    code = "poisoned"
    status = 500


class TimedOut(CallError):
    """No reply came in time. The call may still take effect: repeat it with its idempotency key."""

    code = "timed_out"
    status = 504


class StepFailed(CallError):
    """A step of a handler that waits failed for good."""

    code = "step_failed"
    status = 500


class Cancelled(CallError):
    """The invocation was cancelled: raised where its handler waits, which may clean up first."""

    code = "cancelled"
    status = 409


class Killed(CallError):
    """The invocation was ended from outside, without a word to its code."""

    code = "killed"
    status = 409


class Deadlock(CallError):
    """The call would wait for itself: an actor that waits for it is asked again."""

    code = "deadlock"
    status = 409


class NonDeterministic(CallError):
    """A handler that ran again did not ask for what is recorded: its code has changed, or depends on more
    than state, arguments and steps."""

    code = "non_deterministic"
    status = 500


class HistoryTooLong(CallError):
    """An invocation has more steps than are kept: use host.continue_as_new, or split it."""

    code = "history_too_long"
    status = 500


class AlreadyDone(CallError):
    """A promise, an awakeable or a deferred reply that is completed already keeps its first value."""

    code = "already_done"
    status = 409


class IdempotencyConflict(CallError):
    """The idempotency key was used before for this handler of this actor, with other arguments. Nothing was
    done: repeat the call as it was, or give another key."""

    code = "idempotency_conflict"
    status = 422


class UnknownInvocation(CallError):
    """No such invocation, promise, awakeable or deferred reply waits here, and no outcome of one is kept (any
    more)."""

    code = "unknown_invocation"
    status = 404


class BlobMissing(CallError):
    """The container has no blob of that name, or its object is gone from the store."""

    code = "blob_missing"
    status = 404


class BlobCorrupt(CallError):
    """The object store has other bytes than were put there. Nothing was changed."""

    code = "blob_corrupt"
    status = 502


class BlobsUnavailable(CallError):
    """The object store did not do what it was asked for: it may be away, or refuse these credentials."""

    code = "blobs_unavailable"
    status = 503


class NoBlobStore(CallError):
    """This node has no object store, or one that cannot do that."""

    code = "no_blob_store"
    status = 501


CALL_ERRORS: dict[str, type[CallError]] = {
    error.code: error
    for error in (
        CallError, Rejected, Failed, UnknownType, UnknownHandler, NotReadOnly, BadArguments, TooLarge,
        Stopped, Ignored, AlreadyStarted, Overloaded, Poisoned, TimedOut, StepFailed, Cancelled, Killed,
        Deadlock, NonDeterministic, HistoryTooLong, AlreadyDone, IdempotencyConflict,
        UnknownInvocation, BlobMissing, BlobCorrupt, BlobsUnavailable, NoBlobStore,
    )
}  # fmt: skip

FAILURES = frozenset((Failed.code, StepFailed.code, TimedOut.code, Deadlock.code, "error"))
"""Codes of what is a handler's own failure: what it raised, or has let pass of its waits. It is tried again
as `Retry` says, and told to supervisors. All others are refusals, or somebody has ended it."""


def call_error(code: str, detail: str, data: Any = None) -> CallError:
    """The error of the tree that `code` names; a plain CallError for a code this version does not know."""
    return CALL_ERRORS.get(code, CallError)(detail, data)
