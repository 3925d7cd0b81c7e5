"""What ``host`` is while an actor comes into memory or leaves it: nothing of that is in a journal."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.data.values import plain_value
from plexstream.hosts.native.turn.failures import is_fatal
from plexstream.hosts.native.turn.turn import KEYS, LEVELS
from plexstream.model.errors import Failed
from plexstream.model.messages.address import parse
from plexstream.model.messages.text import said
from plexstream.sdk.running.current import current

_log = logging.getLogger("plexstream.actor")
_NAMES = {
    "task": "steps as ask, run, sleep and promise",
    "signal": "spawn, stop, link or monitor",
    "time": "alarm, remind or timer",
    "settle_awakeable": "resolve_awakeable",
}


class HookTurn:
    """An actor's name, its log, and what it keeps by `host.set`, to be read. All else raises TypeError."""

    def __init__(self, instance: Instance, hook: str) -> None:
        self._instance = instance
        self._hook = hook
        self.forgotten: list[str] = []

    def self_id(self) -> str:
        return parse(self._instance.address).short

    def log(self, level: str, message: str, fields: dict[str, Any]) -> None:
        more = "".join(f" {k}={v!r}" for k, v in fields.items())
        _log.log(LEVELS.get(level, 20), "%s: %s%s", self.self_id(), message, more)

    def entries(self) -> Any:
        return self._instance.hidden(KEYS)

    def plain(self, value: Any) -> Any:
        return plain_value(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise TypeError(
            f"the {self._hook} hook of {self._instance.type.name} uses host.{_NAMES.get(name, name)}: "
            "it runs whenever the actor comes into memory or leaves it, and leaves no turn. It has "
            "host.self_id, host.log and host.get: do the rest in an init handler, or in a handler"
        )


def run_hook(instance: Instance, hook: Callable[..., Any], name: str) -> None:
    """Run a hook. Raises Failed where it does, and TypeError where it changes state."""
    current.turn, before = HookTurn(instance, name), current.turn
    try:
        hook(instance.object)
        changed = instance.changed()
    except BaseException as error:
        instance.roll_back()
        if is_fatal(error):
            raise
        raise Failed(f"{instance.type.name}: the {name} hook raised {said(error)}") from error
    finally:
        current.turn = before
    instance.end_reading()
    if changed:
        instance.roll_back()
        raise TypeError(
            f"{instance.type.name}: the {name} hook changed {', '.join(changed)}; only turns may"
        )
