"""Which records of a source are of the life of its topic that it is read as.

A topic that is deleted and made again is silent for a while, and clients hide that. So what was fetched soon
after what is known to be of a life is of it, too; after a silence, the log is asked, and what comes meanwhile
waits for its answer.
"""

from __future__ import annotations

from collections.abc import Callable

from plexstream.log.base import Record
from plexstream.model.errors import LogError

SILENCE_S = 0.08
"""Less than a client waits by itself after it was told that a topic is away (`fetch.error.backoff.ms`)."""

Told = Callable[[str | LogError], None]


class AnotherLife(LogError):
    """The topic was deleted and made again: what waits is not of the life that was known."""


class _Question:
    """One that is under way. Only the answer to the one that is known last counts."""

    def __init__(self, about: int, asked: float) -> None:
        self.about = about
        self.asked = asked


class Belief:
    """What is known of one source's records.

    Parameters:
        life: that of the topic, which the source is read as.
        ask: ask the log for the topic's life, beside this thread; the answer is handed over on it.
        clock: seconds.
    """

    def __init__(self, life: str, ask: Callable[[Told], None], clock: Callable[[], float]) -> None:
        self._life = life
        self._ask = ask
        self._clock = clock
        self._sure = float("-inf")  # what was fetched then, and before, is of `life`
        self._doubtful: list[Record] = []
        self._question: _Question | None = None
        self._answer: str | LogError | None = None
        self.bytes = 0
        """Of the records that wait to be believed."""

    def judge(self, records: list[Record], drained: float) -> list[Record]:
        """Of what was fetched just now, that which is known to be of the life; the rest waits for `take`.

        Parameters:
            drained: when all that had been fetched before was handed over.
        """
        if self._doubtful or self._clock() - self._sure > SILENCE_S:
            self._doubtful += records
            self.bytes += _size(records)
            if self._question is None:
                self._inquire()
            return []
        self._sure = max(self._sure, drained)
        return records

    def take(self) -> list[Record]:
        """What is known by now to be of the life, each record once, in their order.

        Raises:
            AnotherLife: it is of another one; nothing of it may be fed.
            LogError: the log cannot say.
        """
        answer, question = self._answer, self._question
        if question is None or answer is None:
            return []
        self._answer = self._question = None
        if isinstance(answer, LogError):
            raise LogError(f"the topic's id is not known: {answer}")
        if answer != self._life:
            raise AnotherLife(f"the topic was deleted and made again ({self._life}, now {answer})")
        self._sure = question.asked
        known, self._doubtful = self._doubtful[: question.about], self._doubtful[question.about :]
        self.bytes -= _size(known)
        if self._doubtful:
            self._inquire()
        return known

    def forget(self) -> None:
        """What waits is fetched again; an answer about it says nothing of what comes then."""
        self._sure = float("-inf")
        self._doubtful, self.bytes = [], 0
        self._question = self._answer = None

    def _inquire(self) -> None:
        question = self._question = _Question(len(self._doubtful), self._clock())

        def told(answer: str | LogError) -> None:
            if self._question is question:
                self._answer = answer

        self._ask(told)


def _size(records: list[Record]) -> int:
    return sum(len(record.value or b"") for record in records)
