"""A connection of the HTTP front: uvicorn's, with bounds on what a client may take, and for how long.

uvicorn bounds neither the time that a request takes to arrive, nor its headers, nor what waits to be sent to
a client that does not read; and it answers some faults in plain text, others not at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from plexstream.edge.http import problems
from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.plain import Plain
from plexstream.edge.http.serving import heads, refusals
from plexstream.edge.http.serving.intake import Intake
from plexstream.edge.http.serving.patience import Arriving, Ending, Taking
from plexstream.edge.http.serving.shared import Connections

SLICE = 8 << 10
"""Bytes that are parsed at once while headers arrive."""
BODY_SLICE = 64 << 10
"""The same of a body."""
MAX_LINGERING = 64
"""Connections over the limit that are given time to read why."""
_CLOSE = b"connection: close\r\n"


class Connection(HttpToolsProtocol):
    """One client's connection. A request that cannot be is answered by a problem, and ends it."""

    cycle: Any
    """The latest request: uvicorn's `RequestResponseCycle`, or `Plain`; None where there was none yet."""

    def __init__(
        self, all: Connections, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._all, self._limits = all, all.limits
        self._intake = Intake(all.limits)
        self._receiving = self._ending = False  # a request has begun to arrive, and not ended
        self._held: deque[int] = deque()  # bytes of the bodies of requests without an answer
        self._at_last: Problem | None = None  # to be sent when what came before has its answers
        self._arriving = Arriving(self.loop, all.limits.request_s, self._late)
        self._taking: Taking
        self._end_of_it: Ending

    def _has_answered(self) -> bool:
        cycle = self.cycle
        return cycle is None or cycle.response_complete

    # -- the connection ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        all = self._all
        self._taking = Taking(transport, self.loop, self._limits.request_s)
        self._end_of_it = Ending(all, transport, self.loop)
        if all.admit(self):
            self._arriving.begin()
        elif all.lingering < MAX_LINGERING:
            self._end(refusals.connections(self._limits))
        else:
            self._ending = True
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.left(self, sum(self._held))
        self._held.clear()
        self._taking.end()
        self._end_of_it.over()
        self._arriving.end()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The client sends no more. It may still want its answer: `nc -N` and others end so."""
        if self._ending or self.transport.is_closing():
            return self._at_last is not None or not self._has_answered()
        if self._receiving:
            self._refuse(Problem(400, "bad_request", "the connection was closed before the request's end"))
            return self._at_last is not None
        if self._has_answered():
            return False
        self.cycle.keep_alive = False
        self._end_of_it.within(self._limits.patience(getattr(self.cycle, "scope", ())))
        return True

    def shutdown(self) -> None:
        if self._receiving and self._has_answered() and not self._ending:
            self._refuse(problems.stopping())
            return
        super().shutdown()
        self._abort_later()

    def stop(self) -> None:
        """The server has waited for long enough: what is under way hears so. uvicorn ends its own tasks."""
        if type(self.cycle) is not Plain or self._has_answered():
            return
        if self.cycle.more_body:
            self._refuse(problems.stopping())
        else:
            self.cycle.finish(None, problems.stopping())

    def close(self) -> None:
        """Close it, once its client has taken what was written."""
        if not self.transport.is_closing():
            self.transport.close()
        self._all.idle.pop(self, None)
        self._abort_later()

    def _abort_later(self) -> None:
        """A transport that is closed waits for its client to take what was written, however long."""
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._end_of_it.within(self._limits.request_s)

    # -- what arrives --------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._ending:
            self._end_of_it.discard(len(data))
            return
        if self in self._all.idle and self._take_whole(data):
            return
        try:
            if len(data) <= SLICE:
                self._feed(data)
            else:
                self._feed_slices(memoryview(data))
        except httptools.HttpParserUpgrade:
            self._no_upgrade()
        except Problem as problem:
            self._refuse(problem)
        except httptools.HttpParserError as error:
            self._refuse(self._intake.refusal or refusals.unreadable(error))
        if self._receiving:
            if not self._ending:
                self._arriving.begin()
        elif self.cycle is not None:
            self._arriving.end()

    def _take_whole(self, data: bytes) -> bool:
        """Whether it is a plain call, which the parser need not see: where this rests, it waits for one."""
        all = self._all
        if not all.takes_whole or all.plain is None or self.flow.write_paused or self.transport.is_closing():
            return False
        plain = all.plain.take_whole(self, data)
        if plain is None or all.body_bytes + plain.marks.length > self._limits.body_bytes:
            return False
        del all.idle[self]
        all.body_bytes += plain.marks.length
        self._held.append(plain.marks.length)
        self.url, self.cycle = plain.call.url, plain
        self._arriving.end()
        plain.start()
        return True

    def _feed_slices(self, view: memoryview) -> None:
        while view and not self._ending:
            # Of headers little at once: what is over their limits is never parsed.
            part = view[: SLICE if self._intake.in_head else BODY_SLICE]
            view = view[len(part) :]
            self._feed(part)

    def _feed(self, part: bytes | memoryview) -> None:
        self._intake.feed(len(part))
        self.parser.feed_data(part)
        if self._receiving:
            self._intake.check(len(part))

    def on_message_begin(self) -> None:
        self.url, self.headers = b"", []
        self.expect_100_continue = False
        self._all.idle.pop(self, None)
        self._receiving = True
        self._intake.begin()

    def on_url(self, url: bytes) -> None:
        self.url += url
        self._intake.url(self.url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._intake.in_head:  # what is behind a chunked body is no header of the request
            return
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((name, value))
        self._intake.header(name, value, len(self.headers))

    def on_headers_complete(self) -> None:
        if (plain := self._plain()) is not None:
            self._intake.in_head = False
            self._held.append(0)
            self.cycle = plain
            return
        self._intake.heard(self.parser.get_http_version(), self.url, self.headers)
        self._intake.in_head = False
        self._held.append(0)
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()  # makes the scope
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        super().on_headers_complete()

    def _plain(self) -> Plain | None:
        """The plain call that arrives, if it is one, and may be answered at once."""
        all, parser = self._all, self.parser
        if all.plain is None or parser.get_http_version() != "1.1":
            return None
        if not self._has_answered() or self.flow.write_paused or self.transport.is_closing():
            return None
        return all.plain.take(self, parser.get_method(), self.url, self.headers, parser.should_keep_alive())

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:  # nobody keeps it
            self._intake.body(len(body), 0)
            return
        taken = self._held[-1] - len(self.cycle.body) if self._intake.streams else 0
        self._all.body_bytes += len(body) - taken
        self._held[-1] += len(body) - taken
        if self._intake.body(len(body), self._all.body_bytes):
            self._arriving.end()
        if type(self.cycle) is Plain:  # whose bodies are small enough to be kept
            self.cycle.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        plain = type(self.cycle) is Plain
        if not plain:
            super().on_message_complete()
        self._receiving = False
        self._intake.end()
        self._arriving.end()
        if plain and not self.cycle.response_complete:
            self.cycle.start()

    def _no_upgrade(self) -> None:
        """Other protocols are not spoken here. The parser gives up the body of whoever asks for one."""
        if not heads.has_body(self.headers):
            self.cycle.keep_alive = False
            self._ending = True
            return
        self.cycle.more_body = True  # whatever the parser says: the request is not whole
        self._refuse(refusals.upgrade())

    # -- what is answered ----------------------------------------------------------------------------

    def answer(self, lines: bytes, body: bytes, keep_alive: bool) -> None:
        """Answer the plain call that is under way."""
        always, close = self._all.always(self.server_state.default_headers), b"" if keep_alive else _CLOSE
        data = b"%b%b%b\r\n%b" % (lines, always, close, body)
        if keep_alive and self._at_last is None:
            self._all.leaving.write(self.transport, data)
        else:
            self.transport.write(data)
            if not keep_alive:
                self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        if self._held:
            self._all.body_bytes -= self._held.popleft()
        if self.transport.is_closing():
            self._abort_later()
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._at_last is not None:
            self._end(self._at_last)
        elif not self._receiving and self.cycle.response_complete:
            self._all.rest(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._taking.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taking.end()

    def _late(self) -> None:
        if self._ending or self.transport.is_closing():
            return
        if not self._receiving:
            if self.cycle is None:  # it never sent anything
                self.close()
        elif self.flow.read_paused and (self.pipeline or self._intake.streams):  # this server has it wait
            self._arriving.begin()
        else:
            self._refuse(refusals.late(self._limits))

    def _refuse(self, problem: Problem) -> None:
        """Answer the request that arrives with a problem, after those before it, and end the connection."""
        cycle = self.cycle
        under_way = not self._has_answered()
        if not under_way and self._receiving and not self._intake.in_head:  # it has its answer
            self.close()
            return
        if under_way and (not cycle.more_body or self.pipeline):
            if cycle.more_body and self.pipeline and self.pipeline[0][0] is cycle:
                self.pipeline.popleft()  # the one that is not whole
            self._at_last = problem
            self._ending = True
            return
        if under_way:
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.close()
                return
        self._end(problem)

    def _end(self, problem: Problem) -> None:
        self._ending = True
        self._receiving = False
        self._all.idle.pop(self, None)
        if self.transport.is_closing():
            return
        path = getattr(self, "url", b"").partition(b"?")[0][:500]
        self.transport.write(heads.last_answer(problem, path, self.server_state.default_headers))
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_of_it.linger(self not in self._all.open)
