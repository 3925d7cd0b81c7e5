"""Deaths are of processes: who lives has not been killed, and what waits has not run."""

from scripted import Bench, ask, tell

from plexstream.model.journal.journal import Claim, Mark, Partition
from plexstream.processor.journal.sums.fold import Fold
from plexstream.schema import codec


class Journal:
    def __init__(self) -> None:
        self.fold = Fold()
        self.claims: dict[str, int] = {}

    def take(self, record):
        # Through its bytes, and through the sum of what was before: so that neither forgets anything.
        sum = codec.decode_partition(codec.encode_partition(self.fold.partition(None)))
        self.fold = Fold(sum)
        self.fold.take(self.fold.next, codec.decode_journal(codec.encode_journal(record)))

    def claim(self, process):
        self.claims[process] = self.fold.next
        self.take(Claim("t", "n", 0, {}, process))

    def mark(self, process, attempt=-1, timer="", alive="", release=False):
        self.take(Mark(self.claims[process], 0, (), 0, 0, attempt, timer, release, alive))


def tried(*processes):
    journal = Journal()
    for process in processes:
        journal.claim(process)
        journal.mark(process, attempt=4, timer="a#1")
    return journal


def test_each_process_dies_once():
    fold = tried("p", "q", "p", "p", "q").fold
    # p came back after q, so q's claim ended no life of p's; what became of p is not known yet.
    assert fold.deaths == ("p",)
    assert (fold.attempt_by, fold.attempts) == (("p", "q"), 1)
    assert (tried("p", "p", "p", "p").fold.attempts, tried("p", "p").fold.crashes) == (0, 0)
    journal = tried("p", "q", "r")
    journal.claim("s")
    assert (journal.fold.attempts, journal.fold.timer_attempts, journal.fold.crashes) == (3, 3, 3)


def test_who_lost_a_claim_and_lives_is_no_death():
    journal = tried("p", "q")
    journal.claim("r")
    assert (journal.fold.attempts, journal.fold.crashes) == (2, 2)
    journal.mark("q", alive="q")  # it counts for nothing else
    assert (journal.fold.attempt_by, journal.fold.timer_by, journal.fold.deaths) == (("p",), ("p",), ("p",))
    journal.mark("p", attempt=9)  # nor does what a zombie has announced
    assert journal.fold.attempt == 4


def test_claims_without_a_process_stand_for_themselves():
    """As versions wrote them that did not know of processes, and tools do."""
    journal = Journal()
    for claim in range(3):
        journal.claims[""] = journal.fold.next
        journal.take(Claim("t", "n", 0, {}))
        journal.mark("", attempt=4)
        assert (journal.fold.crashes, journal.fold.attempts) == (claim, claim)


def test_what_an_older_version_has_counted_counts():
    fold = Fold(Partition(claims=(3,), start=5, released=False, crashes=2, attempt=7, attempts=2, timer="t"))
    fold.take(5, Claim("t", "n", 0, {}, "p"))
    assert (fold.crashes, fold.attempt, fold.attempts) == (3, 7, 2)


def test_a_good_end_is_none():
    journal = tried("p", "q")
    journal.mark("q", release=True)
    journal.claim("r")
    assert journal.fold.crashes == 0


def test_a_process_that_loses_its_claims_and_lives_puts_nothing_aside():
    """A slow handler, a rebalance, a broker that is away: again and again."""
    b = Bench()
    b.restart("q")
    b.restart("p")
    assert b.p.trials.careful
    for _ in range(6):
        b.give(ask(0), tell(1))
        (mark,) = b.p.take()
        assert mark.attempt == 0
        b.journal.append(mark)
        b.restart("p")
    b.give(ask(0), tell(1))
    b.append()
    assert [call[2] for call in b.host.calls] == ["m0", "m1"]
