"""What ends a simulated schedule."""

from __future__ import annotations


class Violation(AssertionError):
    """Something that plexstream promises did not hold."""


class Killed(BaseException):
    """A handler took its whole process down, as a crash in native code or the kernel's memory killer would.

    Not an Exception: no part of a worker may catch it.
    """
