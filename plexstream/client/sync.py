"""The client for threads."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from plexstream.client.blobs import Blobs
from plexstream.client.coordination import Keyed, run
from plexstream.client.http.over_http import Answer, Attempt, Failed, exchange
from plexstream.client.http.sync import Http
from plexstream.client.invocation import Invocation, begun
from plexstream.client.request import (
    Request,
    action,
    completion,
    encode,
    goal,
    look_up,
    request,
    result,
    settlement,
)
from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, Calls
from plexstream.edge.http.routes.system.invocations import look, look_by
from plexstream.log.base import Log
from plexstream.model.messages.idempotency import read_id
from plexstream.model.topics.topics import Topics
from plexstream.sdk.host.coordination.operation import Operation


class Client(Keyed):
    """Calls actors, over HTTP or straight over the log. Thread-safe.

        with Client("http://localhost:8080") as client:
            client.ask("account/alice", "deposit", amount=5)

    Args:
        url: ``http://host:port`` of a node, or ``kafka://host:port`` of its brokers.
        log: a log that is open in this process, instead of a url. It is left open.
        topics: the names of the topics, for calls over a log.

    Raises:
        ConfigError: the url is of an unknown kind.
        TopicMissing: the log lacks the topics.
        LogUnavailable: the log cannot be reached now.
    """

    def __init__(
        self, url: str | None = None, *, log: Log | None = None, topics: Topics | None = None
    ) -> None:
        goes = goal(url, log, topics)
        self._log = goes.log if goes.owned else None
        self._url = goes.url
        self._calls: Calls | None = None
        self._http: Http | None = None
        if goes.log is None:
            self._http = Http(goes.url)
            return
        try:
            self._calls = Calls(goes.log, goes.topics)
        except BaseException:
            self.close()
            raise

    def ask(
        self,
        target: str,
        handler: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        **named: Any,
    ) -> Any:
        """Call a handler of the actor `target` and return its result.

        Args:
            target: the address of an actor, such as ``account/alice``.
            arguments: the handler's arguments; or give them by name.
            timeout: in seconds, 30 by default.
            idempotency_key: a call with a key that was seen before has no effect, and the first one's result.

        Raises:
            Rejected: the actor refused.
            TimedOut: no reply came in time; the call may still take effect.
            CallError: the call failed; the subclasses say how.
            BadAddress: `target` is no address.
            LogUnavailable: the server or the log was not reached, or the outcome is unknown.
        """
        return result(self._make(request(False, target, handler, arguments, named, timeout, idempotency_key)))

    def tell(
        self,
        target: str,
        handler: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        **named: Any,
    ) -> Invocation:
        """Send a message to the actor `target`; returns when it is durable. Otherwise as `ask`.

        Returns:
            The invocation that it begins: how it stands, and its result.
        """
        call = request(True, target, handler, arguments, named, timeout, idempotency_key)
        return Invocation(begun(self._make(call)), self._look)

    def invocation(self, id: str) -> Invocation:
        """The invocation with this id, of whichever client or edge it was begun by.

        Raises:
            UnknownInvocation: `id` is none. Whether there is such an invocation is seen when it is asked.
        """
        read_id(id)
        return Invocation(id, self._look)

    def _look(self, id: str, wait: float, timeout: float | None) -> bytes:
        if self._calls is not None:
            return look_by(self._calls, look(id, wait, DEFAULT_TIMEOUT if timeout is None else timeout))
        return self._make(look_up(id, wait, timeout))

    def resolve_awakeable(self, id: str, value: Any = None, *, timeout: float | None = None) -> None:
        """Give an awakeable its value: the handler that made it goes on.

        Raises:
            UnknownInvocation: nobody waits for it; its handler may have ended.
            AlreadyDone: it has a value, and keeps it.
        """
        self._make(completion(id, {"value": value}, timeout))

    def reject_awakeable(self, id: str, reason: str, *, timeout: float | None = None) -> None:
        """Let the handler that made an awakeable get a `Rejected` error. Otherwise as `resolve_awakeable`."""
        self._make(completion(id, {"error": reason}, timeout))

    def resolve_promise(
        self, target: str, name: str, value: Any = None, *, timeout: float | None = None
    ) -> None:
        """Give a promise of the actor `target` its value. Raises AlreadyDone where it has one."""
        self._make(settlement(target, name, {"value": value}, timeout))

    def reject_promise(self, target: str, name: str, reason: str, *, timeout: float | None = None) -> None:
        """Let who waits for a promise get a `Rejected` error. Otherwise as `resolve_promise`."""
        self._make(settlement(target, name, {"error": reason}, timeout))

    def cancel(self, invocation: str, *, timeout: float | None = None) -> int:
        """Let a handler that waits get a `Cancelled` error where it waits: it may clean up first.

        Args:
            invocation: ``address#number`` or an invocation's id; an address alone means the one handler that
                waits there.

        Returns:
            Its number.

        Raises:
            UnknownInvocation: no such handler waits.
        """
        return self._act("cancel", invocation, timeout)

    def kill(self, invocation: str, *, timeout: float | None = None) -> int:
        """End a handler that waits at once, without a word to its code. Otherwise as `cancel`."""
        return self._act("kill", invocation, timeout)

    def pause(self, invocation: str, *, timeout: float | None = None) -> int:
        """Keep a handler that waits from going on, whatever comes about. Otherwise as `cancel`."""
        return self._act("pause", invocation, timeout)

    def resume(self, invocation: str, *, timeout: float | None = None) -> int:
        """Let a paused handler go on, or try a failed or stuck one again at once. Otherwise as `cancel`."""
        return self._act("resume", invocation, timeout)

    def restart(self, invocation: str, step: int = 0, *, timeout: float | None = None) -> int:
        """Let a handler that waits run again from a step, as if what is recorded from it on had not been.

        Args:
            step: its number, from 0, as ``plexstream journal show`` tells. Otherwise as `cancel`.
        """
        return self._act("restart", invocation, timeout, {"from": step})

    def _act(
        self, what: str, invocation: str, timeout: float | None, more: dict[str, int] | None = None
    ) -> int:
        return int(result(self._make(action(what, invocation, timeout, more)))["invocation"])

    def _make(self, call: Request) -> bytes:
        calls = self._calls
        if calls is not None:
            how: Any = {"timeout": call.timeout, "idempotency_key": call.idempotency_key}
            if call.tell:
                id, done = calls.begin(call.target, call.handler, call.payload, **how)
                done.result()
                return encode({"id": id})
            return calls.ask(call.target, call.handler, call.payload, **how).result()
        steps = exchange(call)
        step = next(steps)
        while True:
            answer: Answer | Failed | None = None
            if isinstance(step, Attempt):
                assert self._http is not None
                answer = self._http.send(step)
            else:
                time.sleep(step.seconds)
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return bytes(end.value)

    @property
    def blobs(self) -> Blobs:
        """Bytes of any size under names. Raises ConfigError for a client that calls over a log."""
        return Blobs(self._url)

    def _operation(self, steps: Operation[Any], key: str) -> Any:
        return run(steps, key, self._make)

    def close(self) -> None:
        """End it. Calls that wait get an error."""
        if self._calls is not None:
            self._calls.close()
        if self._http is not None:
            self._http.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
