"""The newest records of a partition in memory: a reader that keeps up never touches the disk."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

TAIL_BYTES = 1 << 20
"""So much is kept of each partition, and twice that before it is cut: so each record is looked at once."""

_GROUP_BYTES = 80
"""What a group takes besides its data."""


class Tail:
    """Groups of records as they are stored. Whoever reads them makes records of them: most are never read.

    Attributes:
        first: the offset of the first record; no offset is missing from there on.
        size: bytes that it takes.
    """

    def __init__(self, first: int) -> None:
        self.first = first
        self._firsts: list[int] = []
        self._data: list[bytes] = []
        self.size = 0

    def add(self, first: int, data: bytes) -> None:
        """A group, whose first record is that behind the last."""
        self._firsts.append(first)
        self._data.append(data)
        self.size += len(data) + _GROUP_BYTES

    def groups(self, offset: int, limit: int) -> list[bytes]:
        """Groups that have the records from `offset` on, at most `limit` of them."""
        firsts = self._firsts
        return self._data[bisect_right(firsts, offset) - 1 : bisect_left(firsts, offset + limit)]

    def forget(self, before: int, end: int) -> None:
        """Drop groups of which nothing is at `before` or behind it. `end`: of the partition."""
        if before >= end:
            self._cut(len(self._firsts), end)
        else:
            self._cut(bisect_right(self._firsts, before) - 1, end)

    def shorten(self, before: int, end: int) -> None:
        """Drop what is too much, where it is before `before`."""
        if self.size <= 2 * TAIL_BYTES:
            return
        firsts, left, count = self._firsts, self.size, 0
        while count < len(firsts) and left > TAIL_BYTES:
            if (firsts[count + 1] if count + 1 < len(firsts) else end) > before:
                break
            left -= len(self._data[count]) + _GROUP_BYTES
            count += 1
        self._cut(count, end)

    def _cut(self, count: int, end: int) -> None:
        if count > 0:
            self.size -= sum(map(len, self._data[:count])) + count * _GROUP_BYTES
            del self._firsts[:count], self._data[:count]
            self.first = self._firsts[0] if self._firsts else end
