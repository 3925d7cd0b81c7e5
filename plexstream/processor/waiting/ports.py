"""What the waiting half needs of its partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from plexstream.model.host import ActorHost
from plexstream.model.journal import Change, Out, Step, Turn
from plexstream.model.message import Envelope
from plexstream.processor.actors.actors import Actor, Actors
from plexstream.processor.journal.inbox import InboxState
from plexstream.processor.ports import Settings
from plexstream.processor.records import Answer
from plexstream.processor.state.pieces import Pieces


class Partition(Protocol):
    """One partition under one claim: its log, its actors, and the door for messages."""

    now: int
    claim: int
    host: ActorHost
    actors: Actors
    pieces: Pieces
    inbox: InboxState
    settings: Settings
    answers: deque[Answer]

    @property
    def quiet(self) -> bool: ...
    @property
    def group_number(self) -> int: ...
    def append(self, actor: Actor, turn: Turn | Step) -> None: ...
    def append_step(self, actor: Actor | None, step: Step) -> None: ...
    def refuse(self, topic: str, offset: int, e: Envelope, code: str, detail: str, data: Any) -> None: ...
    def enter(self, actor: Actor, inv: Any) -> None:
        """Let the message of an invocation through the door."""

    def is_known(self, inv: Any) -> bool:
        """Whether what a message of the journal comes to is kept, so that nothing runs for it."""

    def let_pass(self, actor: Actor) -> None:
        """A handler has the actor: messages in its queue that run beside it need not wait for its end."""

    def go_on(self, actor: Actor) -> None:
        """Nobody holds the actor any more: others get their turn."""

    def sent(
        self, actor: Actor, outs: list[Out], handler: str = "", mark: str = ""
    ) -> tuple[list[Out], list[Change]]: ...
    def base_of(self, actor: Actor, fields: list[Change], patch: Sequence[Change] = ()) -> list[Change]: ...


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
