"""Questions to the log or a disk, asked beside the worker's thread, which never waits for either."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeVar, cast

from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.messages.text import said
from plexstream.model.process.threads import passing

_log = logging.getLogger("plexstream.node")

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
    then: Callable[[object], None] | None  # None: it is to be done, and nobody waits for it


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
        kind: of its threads.
    """

    def __init__(self, wake: Callable[[], None], kind: str = "desk") -> None:
        self._wake = wake
        self._kind = kind
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
        answer = cast("Callable[[object], None]", then)
        with self._lock:
            if self._closed:
                return
            if len(self._waiting.get(partition, ())) >= MAX_WAITING:
                refusal = LogError(f"partition {partition}: {MAX_WAITING} questions wait already")
                self._answers.append(Answer(owner, answer, refusal))
                return
        error = self._begin(partition, _Question(owner, ask, answer))
        if error is not None:  # it may be asked again
            self._answers.append(Answer(owner, answer, LogUnavailable(f"nobody can ask: {error}")))

    def do(self, partition: int, work: Callable[[], None]) -> None:
        """Have something done, behind what was asked of this partition before, be the desk closed or not."""
        question = _Question(None, work, None)
        if self._begin(partition, question) is not None:
            self._answer(question)

    def _begin(self, partition: int, question: _Question) -> RuntimeError | None:
        """Put it behind the others, or on a thread. Returns why there is none."""
        with self._lock:
            if (waiting := self._waiting.get(partition)) is not None:
                waiting.append(question)
                return None
            self._waiting[partition] = deque([question])
        try:
            passing(self._kind, self._work, partition, name=partition)
        except RuntimeError as error:  # no more threads
            with self._lock:
                del self._waiting[partition]
            return error
        return None

    def take(self) -> list[Answer]:
        """Answers that have come."""
        found: list[Answer] = []
        while self._answers:
            found.append(self._answers.popleft())
        return found

    def busy(self) -> set[int]:
        """The partitions of which something is being asked."""
        with self._lock:
            return set(self._waiting)

    def close(self, wait: float = 0.0) -> None:
        """Ask nothing more. What is being asked, and is to be done, is waited for so many seconds."""
        with self._lock:
            self._closed = True
            for waiting in self._waiting.values():
                some = [question for question in waiting if question.then is None]
                waiting.clear()
                waiting.extend(some)
        end = time.monotonic() + wait
        while self._waiting and time.monotonic() < end:
            time.sleep(0.005)

    def _work(self, partition: int) -> None:
        while True:
            with self._lock:
                waiting = self._waiting[partition]
                if not waiting:
                    del self._waiting[partition]
                    return
                question = waiting.popleft()
            self._answer(question)

    def _answer(self, question: _Question) -> None:
        result = _ask(question)
        if question.then is not None:
            self._answers.append(Answer(question.owner, question.then, result))
            self._wake()
        elif isinstance(result, LogError):
            _log.error("a part of letting go failed: %s", result)


def _ask(question: _Question) -> object:
    try:
        return question.ask()
    except LogError as error:
        return error
    except BaseException as error:  # a bug: the partition that asked hears of it, the thread goes on
        return LogError(f"asking failed: {said(error)}")
