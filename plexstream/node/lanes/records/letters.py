"""Dead letters as records: told once they are written, cut where even their topic finds them too large."""

from __future__ import annotations

import logging

from plexstream.model.messages.message import DeadLetter
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import Output
from plexstream.schema.codec import decode_dead_letter, encode_dead_letter

_log = logging.getLogger("plexstream.node")

MAX_TOLD = 5
"""Dead letters of one transaction that the log names."""
CUT_BYTES = 64_000
"""What is left of a payload that is too large at first; nothing of it is, where that is too large, too."""

Part = tuple[int, int]


class Letters:
    """The dead letters of one partition."""

    def __init__(self, topics: Topics, partition: int) -> None:
        self._topics = topics
        self._partition = partition
        self._cuts: dict[Part, tuple[int, str]] = {}  # to how many bytes, and why

    def record(self, part: Part, letter: DeadLetter) -> Output:
        """A dead letter as a record, cut if it was found to be too large."""
        most, why = self._cuts.get(part, (-1, ""))
        if 0 <= most < len(letter.payload):
            cut = f"payload cut from {len(letter.payload)} to {most} bytes: {why[:1000]}"
            detail = f"{letter.detail[:1000]} ({cut})"
            letter = letter._replace(payload=letter.payload[:most], detail=detail)
        key = letter.target.encode()
        return self._topics.deadletter, self._partition, key, encode_dead_letter(letter)

    def cut(self, part: Part, why: str) -> bool:
        """A letter was refused: less of it is written next time. False where nothing is left to cut."""
        most, first = self._cuts.get(part, (-1, why))
        if most == 0:
            return False
        self._cuts[part] = (0 if most > 0 else CUT_BYTES), first
        return True

    def tell(self, letters: list[Output]) -> None:
        """Nobody waits for the answer to a tell: the log says that it came to nothing."""
        self._cuts.clear()
        for _, _, _, value in letters[:MAX_TOLD]:
            letter = decode_dead_letter(value or b"")
            what = (
                f"{letter.target}.{letter.handler}"
                if letter.target
                else f"a record of partition {self._partition}"
            )
            _log.warning("put aside: %s: %s: %s", what, letter.reason, letter.detail)
        if len(letters) > MAX_TOLD:
            _log.warning("put aside: %d more of partition %d", len(letters) - MAX_TOLD, self._partition)
