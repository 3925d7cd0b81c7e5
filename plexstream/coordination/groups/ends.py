"""What the end of an actor means to those who have its address."""

from __future__ import annotations

_ENDS = frozenset(("normal", "shutdown", "killed", "noproc"))


def has_ended(reason: str) -> bool:
    """Whether an actor that was monitored is gone, by the reason that ``__down__`` was given.

    Any other reason is a failure or a restart, and what is at that address may go on: an actor that nobody
    started does, and so does a child that its supervisor starts again. Monitor it once more then: where
    nobody is there, that says ``noproc``.
    """
    return reason in _ENDS or reason.startswith("shutdown: ")
