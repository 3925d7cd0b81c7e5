"""Actor types and their handlers, made ready to run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from plexstream.hosts.native.actor.fields import FieldCodec, PlainFields
from plexstream.hosts.native.actor.instance import entry_codec
from plexstream.hosts.native.actor.time import crons_of
from plexstream.hosts.native.data.arguments import Bind, binder, decoder_of, takes_rest
from plexstream.hosts.native.data.keys import keys_of
from plexstream.hosts.native.data.values import ValueCodec
from plexstream.hosts.native.declarations.start import starter
from plexstream.model.host import RetryInfo, TypeInfo
from plexstream.model.journal.life import HOOKS, START
from plexstream.sdk.spec import ActorType, Handler, Retry

Plain = tuple[Callable[[bytes], Any], list[FieldCodec], int]
"""What a handler needs that runs compiled: its arguments' decoder, the fields it may change, their limit."""


class Bound:
    """A handler with its arguments' check."""

    __slots__ = (
        "beside", "bind", "function", "is_async", "name", "plain", "read_only", "rest", "retry", "role",
        "shared", "waits",
    )  # fmt: skip

    def __init__(self, handler: Handler, where: str, retry: Retry, concurrent: bool = False) -> None:
        function = handler.function
        self.function = function
        self.name = handler.name
        self.read_only = handler.read_only
        self.role = handler.role
        self.shared = handler.shared
        # Others go on beside it, and may change the state that it reads.
        self.beside = not concurrent and (handler.shared or handler.role == "signal")
        self.retry = handler.retry or retry
        self.waits = False  # known once it has waited, if it is a plain def
        self.bind: Bind = binder(function, where)
        self.rest = takes_rest(self.bind)
        self.is_async = inspect.iscoroutinefunction(function)
        self.plain: Plain | None = None

    def make_plain(self, fields: PlainFields) -> None:
        """Let it run compiled, if it is a plain function that changes its actor's fields.

        Not where a field's type has code that runs as it is stored: that may send, and what is handed over to
        Python half way is stored once more.
        """
        decode = decoder_of(self.bind)
        special = self.is_async or self.rest or self.read_only or self.beside or self.role == "run"
        special = special or any(codec.runs_code for codec in fields.codecs)
        if decode is not None and not special:
            self.plain = decode, fields.codecs, fields.max_state


class Type:
    """An actor type made ready to run."""

    def __init__(self, spec: ActorType, version: str) -> None:
        self.name = spec.name
        self.spec = spec
        self.plain = PlainFields(spec)
        concurrent = spec.kind == "service"
        self.handlers = {
            n: Bound(h, f"{spec.name}.{n}", spec.retry, concurrent) for n, h in spec.handlers.items()
        }
        self.handlers[START] = Bound(Handler(START, starter(spec), False), f"{spec.name}.{START}", spec.retry)
        for bound in self.handlers.values():
            bound.make_plain(self.plain)
        self.crash = None if spec.crash is None else _hook("on_crash", spec.crash, spec)
        self.init_config = spec.init is not None and len(inspect.signature(spec.init).parameters) > 1
        self.collections = [
            (f, entry_codec(f, where := f"{spec.name}.{f.name}"), keys_of(where, f.key))
            for f in spec.fields.values()
            if f.kind != "plain"
        ]
        for where, hint in spec.hints:
            ValueCodec(hint, where)
        self.info = TypeInfo(
            spec.name, version, round(spec.idle_timeout * 1000), spec.max_active,
            round(spec.state_ttl * 1000), _retry_info(spec.retry), spec.snapshots.turns,
            -1 if spec.snapshots.seconds is None else round(spec.snapshots.seconds * 1000),
            spec.snapshots.on_deactivation, HOOKS & spec.handlers.keys(), crons_of(spec), _shared(spec),
            spec.kind == "service", spec.kind == "workflow",
            {n: _retry_info(h.retry) for n, h in spec.handlers.items() if h.retry is not None},
            next((n for n, h in spec.handlers.items() if h.role == "run"), ""), spec.init is not None,
            spec.crash is not None, spec.on_stuck,
        )  # fmt: skip


def _hook(name: str, function: Callable[..., Any], spec: ActorType) -> Bound:
    return Bound(Handler(name, function, False), f"{spec.name}.{name}", spec.retry)


def _retry_info(retry: Retry) -> RetryInfo:
    delays = [round(retry.delay(a) * 1000) for a in range(1, max(2, min(retry.attempts, 64)))]
    attempts = retry.attempts
    if retry.max_duration:
        spent = 0.0
        for attempt in range(1, min(retry.attempts, 100_000)):
            spent += delays[min(attempt, len(delays)) - 1] / 1000
            if spent > retry.max_duration:
                attempts = attempt
                break
    return RetryInfo(attempts, tuple(delays), retry.jitter)


def _shared(spec: ActorType) -> frozenset[str]:
    """The handlers that run while another one waits."""
    return frozenset(
        n for n, h in spec.handlers.items()
        if spec.kind == "service" or h.read_only or h.shared or h.role in ("signal", "query")
    )  # fmt: skip
