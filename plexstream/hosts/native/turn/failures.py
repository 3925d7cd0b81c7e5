"""What callers hear of errors that handlers raise."""

from __future__ import annotations

import logging
import threading
import traceback
from typing import Any

import msgspec

from plexstream.hosts.native.actor.answers import MAX_DETAIL
from plexstream.hosts.native.data.values import BadValue, encode_value
from plexstream.hosts.native.declarations.written import told
from plexstream.model.errors import CallError
from plexstream.model.host import Result
from plexstream.model.messages.text import said, text, words
from plexstream.sdk.errors import Reject

_log = logging.getLogger("plexstream.actor")
RAISED = {"raised": True}
"""Marks the log records of what handlers raise, for those who run handlers that are known to fail."""
ASYNCIO = (
    "{} awaits something that is no step of plexstream: a handler must not wait on asyncio; "
    "do that in host.run(name, async_function), and wait for several steps with host.all(…)"
)

_NO_LOOP = ("no running event loop", "no current event loop")


def explain(error: BaseException, where: str, address: str, read_only: bool, limit: int) -> Result:
    """What a caller hears of an error that a handler raised; `limit`: bytes of its data."""
    if isinstance(error, Reject):
        data, problem = _error_data(error.data, limit)
        return failure("rejected", f"{words(error.reason)}{problem}", data, read_only)
    if isinstance(error, RuntimeError) and any(sign in said(error) for sign in _NO_LOOP):
        error = TypeError(ASYNCIO.format(where))
    if isinstance(error, CallError):
        data, problem = _error_data(error.data, limit)
        return failure(error.code, f"{words(error.detail)}{problem}", data, read_only)
    _log.warning("%s: %s raised\n%s", address, where, _trace(error), extra=RAISED)
    return failure("failed", f"{where} raised {told(error)}", None, read_only)


def is_fatal(error: BaseException) -> bool:
    """Whether an error is not the handler's: Ctrl-C. All else, be it SystemExit, fails the turn."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def failure(code: str, detail: str, data: Any = None, read_only: bool = False) -> Result:
    """A message that had no effect."""
    return Result(code, b"", [], [], read_only, text(detail, MAX_DETAIL), data)


def _error_data(data: Any, limit: int) -> tuple[Any, str]:
    """What goes with an error, and what is said where it cannot."""
    if data is None:
        return None, ""
    try:
        encoded = encode_value(data)
    except BaseException as error:  # code of users runs here, too
        why = str(error) if isinstance(error, BadValue) else said(error)
        return None, f" (its data cannot be sent: {why})"
    if len(encoded) > limit:
        return None, f" (its data of {len(encoded)} bytes is over the limit of {limit})"
    return msgspec.json.decode(encoded), ""


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=-20)).rstrip()
    except BaseException:
        return type(error).__name__
