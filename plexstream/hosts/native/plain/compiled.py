"""The plain case of a turn, compiled; `NativeHost.invoke` is what says what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import astuple

from plexstream.hosts.native.actor.fields import FieldCodec
from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.data.values import MAX_DEPTH, encode_plain, is_plain
from plexstream.hosts.native.declarations.prepared import Bound
from plexstream.hosts.native.turn.turn import Turn, check_topic
from plexstream.model.host import Result
from plexstream.model.journal.journal import Change, Out
from plexstream.model.process.compiled import WANTED
from plexstream.sdk.running.current import current

if TYPE_CHECKING:
    from plexstream.hosts.native.plain._turn import Invoker

try:
    if not WANTED:
        raise ImportError
    from plexstream.hosts.native.plain import _turn
except ImportError:
    INVOKER: Invoker | None = None
else:
    INVOKER = _turn.Invoker(
        (Turn, Instance, Bound, FieldCodec, Result, Change, Out), current, encode_plain, is_plain,
        MAX_DEPTH, astuple, check_topic, Turn.emit,
    )  # fmt: skip
    Turn.emit = _turn.method(INVOKER.emit)  # type: ignore[method-assign]
