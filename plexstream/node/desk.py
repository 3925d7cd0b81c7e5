"""Questions to the log, asked beside the worker's thread, which never waits for a broker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar, cast

from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.text import said
from plexstream.model.threads import passing

T = TypeVar("T")

MAX_WAITING = 8
"""Questions of one partition that wait behind one whose answer is late. Its owner asks one or two at a time,
and each answer comes at last, be it an error: the log's calls have time limits."""


class Answer(NamedTuple):
    """What came of a question. Its owner takes `result` by `then`, if it still has a use for it."""

    owner: object
    then: Callable[[object], None]
    result: object  # a LogError where the log could not say


class _Question(NamedTuple):
    owner: object
    ask: Callable[[], object]
    then: Callable[[object], None]


class Questions(Protocol):
    """Who asks the log, and hands out the answers."""

    def ask(
        self, owner: object, partition: int, ask: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None: ...
    def take(self) -> list[Answer]: ...
    def close(self) -> None: ...


class Desk:
    """Asks the log, each partition on a thread of its own: one that waits for a broker stalls no other's.

    Parameters:
        wake: called on any thread when an answer has come since the last `take`.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: dict[int, deque[_Question]] = {}  # of partitions that have a thread
        self._answers: deque[Answer] = deque()
        self._closed = False

    def ask(
        self, owner: object, partition: int, ask: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        """Have `ask` called on another thread; `take` hands out what it returns, or the LogError it raises.

        Questions of one partition are asked one after the other. `ask` must touch nothing but the log.
        """
        question = _Question(owner, ask, cast("Callable[[object], None]", then))
        with self._lock:
            if self._closed:
                return
            waiting = self._waiting.get(partition)
            if waiting is not None:
                if len(waiting) >= MAX_WAITING:
                    refusal = LogError(
                        f"partition {partition}: {MAX_WAITING} questions to the log wait already"
                    )
                    self._answers.append(Answer(owner, question.then, refusal))
                else:
                    waiting.append(question)
                return
            self._waiting[partition] = deque([question])
        try:
            passing("desk", self._work, partition, name=partition)
        except RuntimeError as error:  # no more threads: it may be asked again
            with self._lock:
                del self._waiting[partition]
            self._answers.append(
                Answer(owner, question.then, LogUnavailable(f"nobody can ask the log: {error}"))
            )

    def take(self) -> list[Answer]:
        """Answers that have come."""
        found: list[Answer] = []
        while self._answers:
            found.append(self._answers.popleft())
        return found

    def close(self) -> None:
        """Ask nothing more. What is being asked is not waited for."""
        with self._lock:
            self._closed = True
            for waiting in self._waiting.values():
                waiting.clear()

    def _work(self, partition: int) -> None:
        while True:
            with self._lock:
                waiting = self._waiting[partition]
                if not waiting:
                    del self._waiting[partition]
                    return
                question = waiting.popleft()
            self._answers.append(Answer(question.owner, question.then, _ask(question)))
            self._wake()


def _ask(question: _Question) -> object:
    try:
        return question.ask()
    except LogError as error:
        return error
    except BaseException as error:  # a bug: the partition that asked hears of it, the thread goes on
        return LogError(f"asking the log failed: {said(error)}")
