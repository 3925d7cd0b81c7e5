"""The plain case of a turn, compiled; `NativeHost.invoke` is what says what is right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec.structs import astuple

from plexstream.hosts.native.actor.fields import FieldCodec
from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.data.values import MAX_DEPTH, encode_plain, is_plain
from plexstream.hosts.native.declarations.prepared import Bound
from plexstream.hosts.native.turn.turn import Turn, check_topic
from plexstream.model.host import Result, Suspended
from plexstream.model.journal.journal import Change, Command, CommandKind, Completion, Out
from plexstream.model.process.compiled import WANTED
from plexstream.sdk.host.waiting import Handle
from plexstream.sdk.running.current import current

if TYPE_CHECKING:
    from plexstream.hosts.native.plain._turn import Invoker
    from plexstream.hosts.native.plain._waits import Waits

try:
    if not WANTED:
        raise ImportError
    from plexstream.hosts.native.plain import _turn, _waits
except ImportError:
    INVOKER: Invoker | None = None
else:
    INVOKER = _turn.Invoker(
        (Turn, Instance, Bound, FieldCodec, Result, Change, Out), current, encode_plain, is_plain,
        MAX_DEPTH, astuple, check_topic, Turn.emit,
    )  # fmt: skip
    Turn.emit = _turn.method(INVOKER.emit)  # type: ignore[method-assign]


def waits(
    task: type, commands: type, effect: type, decode: Callable[[bytes], Any], no_plan: object, warn: int
) -> Waits | None:  # fmt: skip
    """What lets handlers ask for side effects and go on, over objects of these classes; None: Python does.

    Parameters:
        decode: makes the value of a result.
        no_plan: what a handler has that runs for the first time.
        warn: from so many commands on, Python looks at them.
    """
    if INVOKER is None:
        return None
    classes = (task, commands, Turn, Handle, effect, Instance, Command, Completion, Suspended)
    return _waits.Waits(classes, current, decode, no_plan, CommandKind.RUN.value, warn)
