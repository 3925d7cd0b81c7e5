"""The models by name, with the rules that each can do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexstream.testing.protocol import outputs, ownership, snapshots
from plexstream.testing.protocol.explore import Model

MODELS: dict[str, tuple[Callable[[str], Model[Any]], dict[str, str]]] = {
    "ownership": (ownership.Ownership, ownership.RULES),
    "outputs": (outputs.Outputs, outputs.RULES),
    "snapshots": (snapshots.Snapshots, snapshots.RULES),
}
