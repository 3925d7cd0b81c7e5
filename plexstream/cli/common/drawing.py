"""What typer draws help with, loaded without what no help of ours has.

Rich's Markdown and its tracebacks are 40 % of that, and a quarter of what ``--help`` takes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


def load() -> None:
    """Load it, if it is not there yet."""
    if "typer.rich_utils" not in sys.modules:
        with _put_off("rich.markdown", "Markdown"), _put_off("rich.traceback", "Traceback"):
            import typer.rich_utils  # noqa: F401


@contextmanager
def _put_off(module: str, name: str) -> Iterator[None]:
    """Whoever imports `name` in the meantime gets a class that loads the true one when it is used."""
    if module in sys.modules:
        yield
        return

    def true() -> Any:
        return getattr(import_module(module), name)

    class PutOff(type):
        def __call__(cls, *arguments: Any, **named: Any) -> Any:
            return true()(*arguments, **named)

        def __getattr__(cls, attribute: str) -> Any:
            return getattr(true(), attribute)

    stand_in = ModuleType(module)
    setattr(stand_in, name, PutOff(name, (), {}))
    sys.modules[module] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(module) is stand_in:
            del sys.modules[module]
