"""Questions of a simulated process to the log, and answers that come late, or never, or are errors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeVar, cast

from plexstream.model.errors import HistoryGone, LogError, LogUnavailable, StoreCorrupt, StoreUnavailable
from plexstream.node.partition.service.driver import Driver, State
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.network.network import Network

T = TypeVar("T")


class Question:
    """What a driver has asked the log; once it is asked, what came of it."""

    def __init__(self, owner: Driver, ask: Callable[[], object], then: Callable[[object], None]) -> None:
        self.owner = owner
        self.then = then
        self._ask = ask
        self.asked = False
        self.due = 0  # when what comes next happens to it
        self.result: object = None

    def ask(self, fails: bool, in_vain: bool) -> None:
        """The log is asked. Where that `fails`, it may have done what it should, or not (`in_vain`)."""
        self.asked = True
        try:
            self.result = LogUnavailable("nobody answers") if fails and in_vain else self._ask()
        except LogError as error:
            self.result = error
        if fails:
            self.result = LogUnavailable("the answer is lost")


class Desk:
    """All that a process has asked, in one life after the other.

    Parameters:
        node: says which life the process is in.
    """

    def __init__(
        self, network: Network, random: Random, node: Callable[[], str], clock: Callable[[], int],
        hits: Counter[str],
    ) -> None:  # fmt: skip
        self._network = network
        self._random = random
        self._node = node
        self._clock = clock
        self._hits = hits
        self._questions: list[Question] = []

    @property
    def busy(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._questions)

    def process_ended(self) -> None:
        """Nobody asks any more."""
        self._questions = []

    def ask(
        self, owner: object, partition: int, question: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        assert type(owner) is Driver
        asked = Question(owner, question, cast("Callable[[object], None]", then))
        asked.due = self._clock()
        self._questions.append(asked)

    def step(self) -> None:
        """Questions are asked, and answered later: often too late, sometimes by an error, done or not."""
        random, odds = self._random, self._network.odds_answer
        for question in list(self._questions):
            if question.due > self._clock():
                continue
            question.due += random.choice((0, 5, 20, 20, 300)) if odds else 0
            if not question.asked:
                question.ask(random.random() < odds, random.random() < 0.5)
            else:
                self._questions.remove(question)
                if isinstance(question.result, LogError):
                    self._hits["no answer from the log"] += 1
                if question.owner.state in (State.LOST, State.CLOSED):
                    self._hits["an answer too late"] += 1
                try:
                    question.owner.answered(question.then, question.result)
                except HistoryGone as error:
                    raise Violation(f"{self._node()}: turns are lost: {error}") from None
                except (StoreCorrupt, StoreUnavailable, LogError) as error:
                    question.owner.lose(str(error))
                except Exception as error:
                    raise Violation(f"{self._node()}: an answer of the log failed: {error!r}") from error
