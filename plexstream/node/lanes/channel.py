"""One transactional id of a partition: opened only by who may own it, and fenced by nothing but a claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from plexstream.log.base import Log, Place, Transaction
from plexstream.model.errors import Fenced, LogError, LogUnavailable
from plexstream.node.lanes.records.encode import Output
from plexstream.schema.codec import is_claim

READ_LIMIT = 5_000
READ_S = 5.0


class Channel:
    """Commits of a partition under a transactional id, whatever worker either owner runs in.

    To open it fences the channel that was there. A claim that stood before that is seen here, and this one
    commits nothing; whoever claims afterwards opens it later, and fences this one. So nobody's records can
    come behind those of a newer owner. Only such a claim ends a channel: Kafka fences a producer, too, whose
    transaction took too long, and then there is nobody else.

    Parameters:
        journal: whose claims say who owns the partition.
        id: the transactional id.
        witness: by which the log's word on positions is proven, see `Log.transaction`.

    Attributes:
        life: of the journal: positions in another one are none.
        known: the owner knows the journal below this offset; set by the worker's thread.
        opened: how often it was opened: what was read from it before is out of date then.
    """

    def __init__(self, log: Log, journal: Place, id: str, witness: Place) -> None:
        self._log = log
        self._journal = journal
        self._witness = witness
        self.id = id
        self.life = ""
        self._transaction: Transaction | None = None
        self.known = 0
        self.opened = 0

    @property
    def is_open(self) -> bool:
        return self._transaction is not None

    def open(self) -> None:
        """Fence the channel that was there.

        Raises:
            Fenced: somebody has claimed the partition.
            LogError: the log cannot say who owns it, or is away.
        """
        if self._claimed():
            raise self._gone()  # without fencing the owner
        try:
            transaction = self._log.transaction(self.id, self.life, self._witness)
        except Fenced as error:
            raise self._ended(error) from error
        try:
            if self._claimed():
                raise self._gone()
        except LogError:
            transaction.close()
            raise
        self._transaction = transaction
        self.opened += 1

    def position(self, place: Place) -> int | None:
        """The position committed last under this id.

        Raises:
            Fenced: somebody has claimed the partition.
            LogError: the log cannot say.
        """
        assert self._transaction is not None
        try:
            return self._transaction.position(place)
        except Fenced as error:
            self.close()
            raise self._ended(error) from error
        except LogError:
            self.close()
            raise

    def commit(self, records: Sequence[Output], positions: Mapping[Place, int]) -> None:
        """Write records and positions, all or nothing.

        Raises:
            Fenced: somebody has claimed the partition.
            Refused: some records never will be written. Nothing is.
            LogError: the outcome is unknown: the positions tell, once it was opened again.
        """
        assert self._transaction is not None
        try:
            self._transaction.commit(records, positions)
        except Fenced as error:
            self.close()
            raise self._ended(error) from error
        except LogError:
            self.close()
            raise

    def close(self) -> None:
        if self._transaction is not None:
            transaction, self._transaction = self._transaction, None
            transaction.close()

    def _ended(self, error: Fenced) -> LogError:
        """What it means that the log has ended the transaction. Raises LogError where that cannot be told."""
        if self._claimed():
            return self._gone()
        return LogUnavailable(
            f"the transaction {self.id!r} was ended, and nobody has claimed {self._journal}: it took too "
            f"long, or another one was opened: {error}"
        )

    def _gone(self) -> Fenced:
        return Fenced(f"{self._journal[0]}[{self._journal[1]}] has a claim beyond offset {self.known - 1}")

    def _claimed(self) -> bool:
        """Whether somebody has claimed the partition since the journal's offset `known`."""
        at = self.known
        start, end = self._log.range(self._journal)
        if start > at:
            return True  # only a newer owner trims what this one has not read
        if at >= end:
            return False
        reader = self._log.reader()
        try:
            reader.assign(self._journal, at)
            while at < end:
                records = reader.read(READ_LIMIT, READ_S)
                if not records:
                    raise LogUnavailable(f"{self._journal} ends at {end}, but its record {at} does not come")
                if any(is_claim(record.value or b"") for record in records):
                    return True
                at = records[-1].offset + 1
        finally:
            reader.close()
        return False
