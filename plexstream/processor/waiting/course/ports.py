"""What the waiting half needs of who owns it."""

from __future__ import annotations

from typing import Protocol

from plexstream.processor.actors.actor import Actor
from plexstream.processor.waiting.invocation.invocation import Invocation


class Door(Protocol):
    """The way of messages to their actors."""

    def enter(self, actor: Actor, inv: Invocation) -> None:
        """Let the message of an invocation through the door."""

    def let_pass(self, actor: Actor) -> None:
        """A handler has the actor: messages in its queue that run beside it need not wait for its end."""

    def go_on(self, actor: Actor) -> None:
        """Nobody holds the actor any more: others get their turn."""


class Caring(Protocol):
    """How things are tried after crashes in a row."""

    @property
    def careful(self) -> bool: ...
    def suspects_a_timer(self) -> bool: ...
    def announce(self, trial: str) -> None: ...
    def was_tried(self) -> None: ...
    def passed(self, trial: str) -> None:
        """What was announced waits again or has ended, and the process lives."""

    def suspects(self, trial: str) -> bool:
        """Whether this was tried when the process died."""

    def deaths_of(self, trial: str) -> int:
        """How many processes it has killed in a row."""
