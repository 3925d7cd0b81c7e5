"""The models by name, with the rules that each can do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexstream.testing.protocol.explore import Model
from plexstream.testing.protocol.rules import delivery, lives, outputs, ownership, snapshots, writing

MODELS: dict[str, tuple[Callable[[str], Model[Any]], dict[str, str]]] = {
    "writing": (writing.Writing, writing.RULES),
    "delivery": (delivery.Delivery, delivery.RULES),
    "ownership": (ownership.Ownership, ownership.RULES),
    "outputs": (outputs.Outputs, outputs.RULES),
    "snapshots": (snapshots.Snapshots, snapshots.RULES),
    "lives": (lives.Lives, lives.RULES),
}
