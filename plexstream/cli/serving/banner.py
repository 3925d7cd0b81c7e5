"""What ``dev`` and ``run`` say first: where everything is, and calls to try."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from rich.markup import escape

from plexstream.node.setup.config import Config
from plexstream.sdk.spec import ActorType, Handler

_EXAMPLES = 3


def banner(title: str, config: Config, url: str, types: Mapping[str, ActorType]) -> str:
    """Some lines of rich markup."""
    log = f"Kafka at {config.kafka}" if config.kafka else f"embedded, durable, in {config.log_dir}"
    lines = [f"[bold]{title}[/]" + (f" [cyan]{escape(str(config.app))}[/]" if types else "")]
    for t in types.values():
        names = [name for name in t.handlers if not name.startswith("@")]  # those are of its behaviour
        lines.append(f"  {escape(t.name)}: {escape(', '.join(names) or 'no handlers')}")
    lines += ["", f"  [dim]log [/]  {escape(log)}", f"  [dim]http[/]  {url}"]
    if examples := _examples(url, types):
        lines += ["", "Try:", *(f"  {escape(line)}" for line in examples)]
    return "\n".join([*lines, "", "[dim]Ctrl-C stops it.[/]"])


def _examples(url: str, types: Mapping[str, ActorType]) -> list[str]:
    """Calls of the first actor type's handlers that work as they stand here."""
    from plexstream.cli.common.example import arguments

    for spec in types.values():
        handlers = [h for h in spec.handlers.values() if h.name != "*" and h.name[0] not in "@_"]
        # Changes first: what a reading handler says is more telling after them.
        handlers.sort(key=lambda h: h.read_only)
        found = [(h, given) for h in handlers if (given := arguments(h)) is not None]
        if found:
            return [_curl(url, spec.name, handler, given) for handler, given in found[:_EXAMPLES]]
    return []


def _curl(url: str, type_name: str, handler: Handler, arguments: dict[str, Any]) -> str:
    target = f"{url}/v1/actors/{type_name}/one/{handler.name}"
    if handler.read_only and not arguments:
        return f"curl {target}"
    return f"curl {target} --json {shlex.quote(json.dumps(arguments, ensure_ascii=False))}"
