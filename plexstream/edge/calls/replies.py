"""Replies to an edge's calls: from the `reply` topic to those who wait, on a thread of its own."""

from __future__ import annotations

import logging
import threading
from typing import Any

import msgspec

from plexstream.edge.calls.waiters import Done, Pending, Sink, deliver
from plexstream.log.base import Log, Place, Reader, Record
from plexstream.model.errors import CallError, Shortened, call_error
from plexstream.model.messages.message import ASK, ERROR, REPLY, Envelope
from plexstream.model.process.threads import Lasting
from plexstream.schema.codec import decode_envelope

log = logging.getLogger(__name__)

_READ = 1000  # replies taken at once
_RETRY = 0.2  # seconds before a reader that failed is opened again


class _ErrorBody(msgspec.Struct):
    code: str = "error"
    detail: str = ""
    data: Any = None


_error_body = msgspec.json.Decoder(_ErrorBody)


class Replies:
    """Reads the replies at `place` from its present end on, and ends the calls that wait for them.

    Args:
        edge_id: the key of this edge's replies; those with another are of its neighbours.
        prefix: begins the id of each of its calls.
        pending: the calls that wait, by id; shared with who makes them.

    Attributes:
        foreign: replies of other edges on the same partition: normal.
        stale: replies nobody waits for: late, or a second time.
        malformed: records that are no reply to a call.

    Raises:
        LogUnavailable: the log cannot be reached now.
    """

    def __init__(
        self, log: Log, place: Place, edge_id: str, prefix: str, pending: dict[str, Pending]
    ) -> None:
        self._log = log
        self._place = place
        self._key = edge_id.encode()
        self._prefix = prefix
        self._pending = pending
        self._position = log.range(place)[1]
        self._closed = threading.Event()
        self._reader: Reader | None = None
        self.foreign = self.stale = self.malformed = 0
        self.thread = Lasting("replies", self._read, self._closed.is_set, edge_id)

    def start(self) -> None:
        """Begin to read."""
        self.thread.start()

    def close(self, timeout: float) -> None:
        """End the thread, and wait for that up to `timeout` seconds."""
        self._closed.set()
        if self._reader is not None:
            self._reader.wake()
        if threading.current_thread() is not self.thread:
            self.thread.join(timeout)

    def _read(self) -> None:
        reader: Reader | None = None
        while not self._closed.is_set():
            try:
                if reader is None:
                    reader = self._log.reader()
                    reader.assign(self._place, self._position)
                    self._reader = reader
                records = reader.read(_READ, 1.0)
            except Shortened as error:
                # Nobody's state: who waits for what was lost is timed out, and the others have their answers.
                log.error(
                    "%s[%d] has lost records, %d to %d at least: replies among them are lost",
                    *self._place, error.end, error.position - 1,
                )  # fmt: skip
                self._position = error.end
                _close(reader)
                reader = self._reader = None
                continue
            except Exception as error:
                log.warning("reading replies failed, trying again in %.1f s: %s", _RETRY, error)
                _close(reader)
                reader = self._reader = None
                self._closed.wait(_RETRY)
                continue
            if records:
                self._position = records[-1].offset + 1
                self._take(records)
        _close(reader)

    def _take(self, records: list[Record]) -> None:
        batches: dict[Sink, list[Done]] = {}
        key, pending = self._key, self._pending
        for record in records:
            if record.key != key:
                self.foreign += 1
                continue
            try:
                reply = decode_envelope(record.value or b"")
            except Exception as error:  # Malformed, and what a decoder should not raise
                self.malformed += 1
                log.warning("%s/%d at %d: %s", record.topic, record.partition, record.offset, error)
                continue
            kind = reply.kind
            id = reply.id
            call = pending.get(id)
            if call is None:
                if id.startswith(self._prefix):
                    self.stale += 1
                else:  # of an edge with the same id, or of this one before it was restarted
                    self.foreign += 1
                continue
            if call[3] != ASK or (kind != REPLY and kind != ERROR):
                self.malformed += 1
                continue
            if pending.pop(id, None) is None:  # its deadline came first, just now
                self.stale += 1
                continue
            done: Done
            done = (call[1], reply.payload, None) if kind == REPLY else (call[1], None, self._error(reply))
            batch = batches.get(call[0])
            if batch is None:
                batches[call[0]] = [done]
            else:
                batch.append(done)
        deliver(batches)

    def _error(self, reply: Envelope) -> CallError:
        try:
            body = _error_body.decode(reply.payload)
        except Exception as error:  # whatever a decoder raises, RecursionError among it: one caller's only
            self.malformed += 1
            return CallError(f"the call failed, and the error is no JSON of code, detail and data: {error}")
        return call_error(body.code, body.detail, body.data)


def _close(reader: Reader | None) -> None:
    if reader is not None:
        try:
            reader.close()
        except Exception as error:
            log.warning("closing the reader of replies: %s", error)
