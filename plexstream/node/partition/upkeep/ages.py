"""Which journal offset was reached how long ago, in little memory however long that is."""

from __future__ import annotations

MOST = 1_000
"""Entries before they are thinned out."""
FINE = 32
"""What is `t` old is known to within about ``t / FINE``: 430 entries for a week of one a second."""


class Ages:
    """The journal's next offset, noted now and then."""

    def __init__(self) -> None:
        self._noted: list[tuple[int, int]] = []  # time in ms, offset; both rise

    def __len__(self) -> int:
        return len(self._noted)

    def note(self, now: int, offset: int, longest: int) -> None:
        """The next offset is `offset` at `now`. Nobody asks for more than `longest` ms ago."""
        noted = self._noted
        noted.append((now, offset))
        if len(noted) > MOST:
            thinned = [noted[-1]]
            for entry in reversed(noted[:-1]):
                # The first that is older than anybody asks for is the last one to keep.
                if thinned[-1][0] - entry[0] >= (now - entry[0]) / FINE:
                    thinned.append(entry)
                if now - entry[0] >= longest:
                    break
            thinned.reverse()
            self._noted = thinned

    def before(self, now: int, wait: int) -> int:
        """The latest offset that had been reached `wait` ms ago; 0: none is known."""
        for time, offset in reversed(self._noted):
            if now - time >= wait:
                return offset
        return 0
