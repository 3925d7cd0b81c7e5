"""What ``dev`` and ``run`` say first: where everything is, and calls to try."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, get_origin, get_type_hints

from rich.markup import escape

from plexstream.node.config import Config
from plexstream.sdk.spec import ActorType, Handler

_EXAMPLES = 3
_VALUES: dict[Any, Any] = {int: 1, float: 1.5, str: "text", bool: True, list: [], dict: {}, bytes: ""}


def banner(title: str, config: Config, url: str, types: Mapping[str, ActorType]) -> str:
    """Some lines of rich markup."""
    log = f"Kafka at {config.kafka}" if config.kafka else f"embedded, durable, in {config.log_dir}"
    lines = [f"[bold]{title}[/]" + (f" [cyan]{escape(str(config.app))}[/]" if types else "")]
    for t in types.values():
        names = [name for name in t.handlers if not name.startswith("@")]  # those are of its behaviour
        lines.append(f"  {escape(t.name)}: {escape(', '.join(names) or 'no handlers')}")
    lines += ["", f"  [dim]log [/]  {escape(log)}", f"  [dim]http[/]  {url}"]
    if types:
        lines += ["", "Try:", *(f"  {escape(line)}" for line in _examples(url, types))]
    return "\n".join([*lines, "", "[dim]Ctrl-C stops it.[/]"])


def _examples(url: str, types: Mapping[str, ActorType]) -> list[str]:
    """Calls of the first actor type's handlers."""
    spec = next(iter(types.values()))
    handlers = [h for h in spec.handlers.values() if h.name != "*" and not h.name.startswith("@")]
    # Changes first: what a reading handler says is more telling after them.
    handlers.sort(key=lambda h: h.read_only)
    return [_curl(url, spec.name, handler) for handler in handlers[:_EXAMPLES]]


def _curl(url: str, type_name: str, handler: Handler) -> str:
    target = f"{url}/v1/actors/{type_name}/one/{handler.name}"
    body = json.dumps(_arguments(handler))
    if handler.read_only and body == "{}":
        return f"curl {target}"
    return f"curl {target} --json '{body}'"


def _arguments(handler: Handler) -> dict[str, Any]:
    """A value for each parameter that must be given, by its type hint."""
    try:
        hints = get_type_hints(handler.function)
    except Exception:  # whatever a hint refers to: this is only an example
        hints = {}
    parameters = list(inspect.signature(handler.function).parameters.values())[1:]
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    return {p.name: _value(hints.get(p.name)) for p in plain if p.default is p.empty}


def _value(hint: Any) -> Any:
    return _VALUES.get(get_origin(hint) or hint, "…" if hint is None else {})
