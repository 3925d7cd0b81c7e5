"""Errors that actor code raises and meets."""

from __future__ import annotations

from typing import Any


class Reject(Exception):
    """Raised by a handler to refuse: the turn is rolled back, the caller hears why, nothing is retried.

    Parameters:
        reason: for the caller, a sentence.
        data: more about it, JSON-compatible.
    """

    def __init__(self, reason: str, data: Any = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.data = data


class Ignore(Exception):
    """Raised by an init handler that is run by a start: the actor is not started, and that is no failure.

    Parameters:
        reason: for whoever starts it, a sentence.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class TerminalError(Reject):
    """Raised by a handler or a step that failed for good: like `Reject`, by the name that workflows know."""


class SagaFailed(TerminalError):
    """Something within ``with host.saga()`` failed, and what came before it was undone, as far as possible.

    Its `data` is the report of `Saga.undo`.
    """


class DeclarationError(TypeError):
    """An actor class is declared in a way that cannot work. Raised while the module is imported."""


class DeclarationWarning(UserWarning):
    """An actor class is declared in a way that is most often a mistake; an error with ``--strict``."""


class OutsideHandler(RuntimeError):
    """Something that only makes sense while a handler runs was called elsewhere."""


class TransitionError(RuntimeError):
    """An FSM was set to a state that is not declared, or may not follow. The turn is rolled back."""


class FoldError(RuntimeError):
    """An event-sourced actor's state and its events do not go together."""
