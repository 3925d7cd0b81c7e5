"""What starting an actor runs: its init handler with the arguments, or, without one, the fields take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from plexstream.model.errors import BadArguments
from plexstream.sdk.spec import ActorType


def starter(spec: ActorType) -> Callable[..., None]:
    """The handler of the start signal of an actor type."""
    start, behaviour = _starter(spec), spec.started
    if behaviour is None:
        return start

    def both(self: Any, /, **args: Any) -> None:
        start(self, **args)
        behaviour(self)

    return both


def _starter(spec: ActorType) -> Callable[..., None]:
    init = spec.init
    if init is None:
        fields = sorted(f.name for f in spec.fields.values() if f.kind == "plain")

        def fill(self: Any, /, **args: Any) -> None:
            for name, value in args.items():
                if name not in fields:
                    raise BadArguments(
                        f"{spec.name} has no state field {name!r} for an argument of its start; it has "
                        f"{', '.join(fields) or 'none'}. Or declare an @init_handler"
                    )
                setattr(self, name, value)

        return fill
    takes_config = len(inspect.signature(init).parameters) > 1

    def start(self: Any, /, **args: Any) -> None:
        if takes_config:
            init(self, args)
        elif args:
            raise BadArguments(
                f"{spec.name} was started with {', '.join(sorted(args))}, but its init handler takes no "
                "arguments: declare it as init(self, config: dict)"
            )
        else:
            init(self)

    return start
