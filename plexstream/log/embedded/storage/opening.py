"""How the embedded log is opened: the manifest, then the write-ahead log behind it. Nothing is written here.

What must be there is known twice: segments by the manifest, the end of the write-ahead log by `synced`, the
end of each of its older files by the next one. What lies behind the synced end was not acknowledged: as
much of it as is whole counts, and a torn end does not.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from plexstream.log.base import Place
from plexstream.log.embedded.files import disk, manifest, wal
from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files.manifest import Manifest, StoredPartition, StoredTopic
from plexstream.log.embedded.files.partition import Partition
from plexstream.model.errors import LogError

OLD = "CURRENT"
"""A file that every RocksDB database has, as the embedded log was before this format."""

VERIFY_BYTES = 32 << 20
"""So much of the newest segments is read and verified when a log is opened: the rest is when it is read."""

Position = tuple[int, str]  # position, life of the topic


class Contents:
    """What a log holds.

    Attributes:
        found: the manifest that it was opened by.
        mark: the end of the write-ahead log.
        known: ends that frames behind damage tell of.
    """

    def __init__(self, make: Callable[[StoredPartition, str, StoredTopic], Partition]) -> None:
        self._make = make
        self.found = manifest.EMPTY
        self.mark = wal.Mark(1, 0, 0)
        self.known: dict[Place, int] = {}
        self.topics: dict[str, StoredTopic] = {}
        self.parts: dict[str, list[Partition]] = {}
        self.epochs: dict[str, int] = {}
        self.positions: dict[tuple[str, str, int], Position] = {}

    def start(self, found: Manifest) -> None:
        """Begin with what a manifest tells."""
        self.found = found
        self.topics = dict(found.topics)
        self.epochs = dict(found.epochs)
        self.positions = {(id, topic, n): (at, life) for id, topic, n, at, life in found.positions}
        names = {topic.id: name for name, topic in found.topics.items()}
        for stored in found.partitions:
            name = names[stored.topic_id]
            self.parts.setdefault(name, []).append(self._make(stored, name, self.topics[name]))

    def add_topic(self, name: str, topic: StoredTopic) -> None:
        """A topic without any record."""
        self.topics[name] = topic
        self.parts[name] = [
            self._make(StoredPartition(topic.id, number, 0, 0, 0, 0, 0, []), name, topic)
            for number in range(topic.partitions)
        ]

    def apply(self, note: dict[str, Any]) -> None:
        """Anything but records that the write-ahead log tells."""
        if "topic" in note:
            self.add_topic(note["topic"], StoredTopic(*note["is"]))
        elif "epoch" in note:
            self.epochs[note["transaction"]] = note["epoch"]
        elif "position" in note:
            self.positions[note["transaction"], *note["of"]] = (note["position"], note["life"])
        elif "start" in note:
            topic, number = note["of"]
            self.parts[topic][number].forget(note["start"])

    def stored(self, number: int, wal: int) -> Manifest:
        """All of it as a manifest."""
        return Manifest(
            number, wal, dict(self.topics),
            [part.stored() for parts in self.parts.values() for part in parts],
            dict(self.epochs), [(*of, at, life) for of, (at, life) in self.positions.items()],
        )  # fmt: skip


class Opened(NamedTuple):
    """What `load` found beside the contents."""

    new: bool
    copies: list[disk.Damage]  # of the manifest; without harm
    torn: int  # bytes behind the last whole frame


def load(folder: Path, contents: Contents, judge: disk.Judge, verify: bool = True) -> Opened:
    """Read all that is needed to go on. Damage goes to `judge`; if that goes on, what is lost is left out.

    Parameters:
        verify: whether to look at the newest segments.

    Raises:
        LogDamaged: if `judge` is `disk.refuse`, and something acknowledged is not there.
        LogError: it is no log of this format.
    """
    found, wrong = manifest.read(folder)
    mark = wal.read_mark(folder)
    if found is None:
        if _is_new(folder):
            return Opened(True, [], 0)
        judge(disk.Damage(folder / manifest.NAMES[0], 0, "no copy of the manifest is whole", "everything"))
        return Opened(True, wrong, 0)
    contents.start(found)
    all_parts = [part for parts in contents.parts.values() for part in parts]
    _check_segments(all_parts, judge)
    if verify:
        _verify_segments(all_parts, judge)
    if mark is None:
        lost = "what is missing at the end of the write-ahead log, if anything is"
        judge(disk.Damage(folder / wal.SYNCED, 0, "it does not tell how far the log was synced", lost))
    torn = _Replay(folder, contents, judge).run(found.wal, mark)
    return Opened(False, wrong, torn)


def leftovers(folder: Path, contents: Contents) -> list[Path]:
    """Files that a crash left behind and nothing refers to."""
    listed = {s.path for parts in contents.parts.values() for part in parts for s in part.segments.listed}
    found = []
    for path in folder.iterdir():
        kind, _, rest = path.name.partition("-")
        left = path.name.endswith(disk.TEMPORARY) or (kind == "segment" and path not in listed)
        if kind == "wal" and rest.isdigit():
            left = left or not contents.found.wal <= int(rest) <= contents.mark.number
        if left:
            found.append(path)
    return found


def _is_new(folder: Path) -> bool:
    """Whether nothing was ever in this log: it is empty, or a crash ended its making."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(disk.TEMPORARY)} - {disk.LOCK}
    first = wal.wal_path(folder, 1)
    if not names - {first.name, wal.SYNCED}:
        if first.name not in names:
            return not names
        data = first.read_bytes()
        head = wal.read_header(data)
        return head is None or head.end == len(data)
    if OLD in names:
        raise LogError(
            f"{folder} holds a RocksDB database. If it is the log of a plexstream before this one: "
            "`plexstream doctor --convert` (with --data as for the node) turns it into one of today, "
            "and keeps the old one. Else choose an empty folder"
        )
    if not any(name.startswith(("manifest-", "wal-", "segment-", wal.SYNCED)) for name in names):
        raise LogError(
            f"{folder} holds something else ({', '.join(sorted(names)[:3])}): choose an empty folder"
        )
    return False


def _check_segments(parts: list[Partition], judge: disk.Judge) -> None:
    """That all are there."""
    for part in parts:
        for segment in list(part.segments.listed):
            if not segment.path.exists():
                judge(part.segments.damage(segment, 0, "it is missing", segment.first))
                part.segments.listed.remove(segment)


def _verify_segments(parts: list[Partition], judge: disk.Judge) -> None:
    """That they are long enough, and that the newest are as they were written."""
    for part in parts:
        for segment in part.segments.listed:
            size = segment.path.stat().st_size
            if size < segment.length:
                what = f"it ends before its length of {segment.length}"
                judge(part.segments.damage(segment, size, what, segment.first))
    left = VERIFY_BYTES
    depth = 1
    while any(depth <= len(part.segments.listed) for part in parts):
        for part in parts:
            if depth <= len(part.segments.listed):
                segment = part.segments.listed[-depth]
                left -= segment.length
                if left < 0:
                    return
                segment.chunks = part.segments.verify(segment, judge)
        depth += 1


class _Replay:
    """Takes the frames of the write-ahead log, one file after another."""

    def __init__(self, folder: Path, contents: Contents, judge: disk.Judge) -> None:
        self._folder = folder
        self._contents = contents
        self._judge = judge
        self._by_id = {
            (part.topic_id, part.place[1]): part for parts in contents.parts.values() for part in parts
        }

    def run(self, number: int, mark: wal.Mark | None) -> int:
        """Take all from file `number` to `mark`, and what is whole behind that. How many bytes are not."""
        contents = self._contents
        previous: int | None = None
        before: wal.Mark | None = None
        while True:
            path = wal.wal_path(self._folder, number)
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                if mark is None or number <= mark.number:
                    self._judge(disk.Damage(path, 0, "it is missing", self._lost(b"", 0)))
                break
            last = mark is not None and number >= mark.number
            head = wal.read_header(data)
            if head is None or head.number != number or (previous is not None and head.crc != previous):
                if mark is not None or head is None:
                    self._judge(disk.Damage(path, 0, "its header is wrong", self._lost(data, 0)))
                break
            if before is not None and head.after != before.position:
                # The file before ends early by its own account, which its chain would have shown.
                self._judge(disk.Damage(path, 0, "it goes on behind another file", self._lost(data, 0)))
                break
            end, crc = head.end, head.crc
            known = mark is not None and mark.number == number and mark.position == end and mark.crc == crc
            while (found := form.read_frame(data, end, crc)) is not None:
                self._take(path, end, found.body)
                end, crc = found.end, found.crc
                known = known or (
                    mark is not None and mark.number == number and (mark.position, mark.crc) == (end, crc)
                )
            contents.mark = before = wal.Mark(number, end, crc)
            previous = crc
            if last:
                if mark is not None and not known:
                    what = f"it was synced up to byte {mark.position}, and is whole up to here"
                    self._judge(disk.Damage(path, end, what, self._lost(data, end)))
                return len(data[end:].rstrip(b"\0"))  # zeros are there before what is written over them
            if not self._goes_on(number, end, crc):
                lost = self._lost(data, end)
                self._judge(disk.Damage(path, end, "a checksum is wrong, or its end is missing", lost))
                break
            number += 1
        return 0

    def _goes_on(self, number: int, end: int, crc: int) -> bool:
        """Whether the next file says that this one ended here."""
        try:
            head = wal.read_header(disk.read_at(wal.wal_path(self._folder, number + 1), 0, 4096))
        except FileNotFoundError:
            return True  # told when it is its turn
        return head is None or (head.after, head.crc) == (end, crc)

    def _take(self, path: Path, at: int, body: bytes) -> None:
        for entry in form.entries(body):
            if not isinstance(entry, form.RecordsEntry):
                self._take_note(path, at, entry)
                continue
            part = self._by_id.get((entry.topic_id, entry.partition))
            if part is None:
                what = f"it has records of a topic {entry.topic_id} that is not there"
                self._judge(disk.Damage(path, at, what, "those records"))
                continue
            if entry.first != part.end:
                what = (
                    f"it has offset {entry.first} of {part.place[0]}[{part.place[1]}] behind {part.end - 1}"
                )
                self._judge(disk.Damage(path, at, what, f"offsets {part.end} to {entry.first - 1}"))
                part.end = entry.first
            part.take(entry.records, entry.data)

    def _take_note(self, path: Path, at: int, note: dict[str, Any]) -> None:
        try:
            self._contents.apply(note)
        except LookupError:
            self._judge(disk.Damage(path, at, f"it tells {note} of no topic that is there", "that"))
        for part in self._contents.parts.get(note.get("topic", ""), ()):
            self._by_id[part.topic_id, part.place[1]] = part

    def _lost(self, data: bytes, position: int) -> str:
        """What can still be told of what lies behind damage."""
        lost: dict[tuple[int, int], list[int]] = {}
        while (found := form.next_frame(data, position)) is not None:
            _, whole = found
            position = whole.end
            for entry in form.entries(whole.body):
                if isinstance(entry, form.RecordsEntry):
                    ends = lost.setdefault((entry.topic_id, entry.partition), [entry.first, 0])
                    ends[1] = entry.first + entry.records - 1
        told = []
        for key, (_, last) in sorted(lost.items()):
            part = self._by_id.get(key)
            if part is not None:
                self._contents.known[part.place] = last + 1
                told.append(f"offsets {part.end} to {last} of {part.place[0]}[{part.place[1]}]")
        return "; ".join([*told, "and whatever else was appended from there on"])
