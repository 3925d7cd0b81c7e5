"""Arguments of a method that were kept as plain values, or come from elsewhere than a message."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NotRequired, TypedDict, get_type_hints

from plexstream.sdk.running.values import typed


class Arguments:
    """What a method takes behind ``self``.

    Parameters:
        function: the method. As for handlers: no ``*args``, but ``**rest`` may be there.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        hints = get_type_hints(function, include_extras=True)
        self.names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        self.rest = any(p.kind is p.VAR_KEYWORD for p in parameters)
        self.shape = tuple(str(p.replace(annotation=hints.get(p.name, Any))) for p in parameters)
        fields: dict[str, Any] = {}
        for p in parameters:
            if p.name in self.names:
                hint = hints.get(p.name, Any)
                fields[p.name] = hint if p.default is p.empty else NotRequired[hint]
        self.type: Any = TypedDict("Arguments", fields)  # type: ignore[misc]

    def by_name(self, args: tuple[Any, ...], rest: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call by position, by their names."""
        return {**dict(zip(self.names, args, strict=False)), **rest}

    def bind(self, given: Mapping[str, Any], *, strict: bool = False) -> dict[str, Any]:
        """Plain values as keyword arguments. What the method does not take is left out, if not `strict`.

        Raises:
            ValueError: one is missing, or not of its type; or too many, where `strict`.
        """
        wanted = {name: value for name, value in given.items() if name in self.names}
        spare = {name: value for name, value in given.items() if name not in self.names}
        if spare and strict and not self.rest:
            raise ValueError(f"there is no {', '.join(spare)}; there is {', '.join(self.names) or 'nothing'}")
        bound: dict[str, Any] = typed(wanted, self.type)
        return {**bound, **spare} if self.rest else bound
