"""Records of sources on their way into mailboxes, each as the messages that its subscriptions want."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter

from plexstream.log.base import Appender, Item, Place, Record
from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import LogError
from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import Envelope
from plexstream.model.messages.text import said
from plexstream.model.process.compiled import WANTED
from plexstream.node.ingest.feed import Feed
from plexstream.node.ingest.sources.source import Source, Stage
from plexstream.node.ingest.spaces import SpaceFeed
from plexstream.schema.codec import compiled_encode, encode_envelope

try:
    if not WANTED:
        raise ImportError
    from plexstream.node.ingest import _feeding
except ImportError:
    COMPILED = False
else:
    COMPILED = True

_log = logging.getLogger("plexstream.node")

_place: Callable[[Record], Place] = itemgetter(0, 1)

AnyFeed = Feed | SpaceFeed

_Group = list[tuple[Item, Record, AnyFeed]]


class Feeding:
    """Appends messages; acknowledgements come with ``(source, era, batch)``.

    Parameters:
        mailbox: the topic, which has so many `partitions`.
        feeds: by topic.
    """

    def __init__(self, mailbox: str, partitions: int, feeds: Mapping[str, Sequence[AnyFeed]]) -> None:
        self._mailbox = mailbox
        self._partitions = partitions
        self._feeds = feeds

    def feed(
        self, appender: Appender, sources: Mapping[Place, Source], records: list[Record]
    ) -> Iterator[tuple[Source, LogError]]:
        """Hand over those of sources that are read. Yields the sources of which that has failed, and why."""
        by_source: dict[Place, dict[Place, _Group]] = {}
        ends: dict[Place, int] = {}
        for place, run in groupby(records, _place):
            source = sources.get(place)
            if source is None or source.stage is not Stage.READING:
                continue
            some = list(run)
            self._sort_all(some, source.origin, by_source.setdefault(place, {}))
            ends[place] = some[-1].offset + 1
        for place, groups in by_source.items():
            source = sources[place]
            size = sum(len(item[1] or b"") for group in groups.values() for item, _, _ in group)
            batch = source.batch(ends[place], size)
            try:
                for home, group in groups.items():
                    self._append(appender, home, group, source, batch)
            except LogError as error:
                yield source, error

    def _sort_all(self, records: list[Record], origin: str, into: dict[Place, _Group]) -> None:
        feeds = self._feeds[records[0].topic]
        plan = feeds[0].plain if COMPILED and len(feeds) == 1 else None
        at = 0
        while at < len(records):
            if plan is not None and compiled_encode is not None:
                prefix, handler, most = plan
                at = _feeding.sort(
                    records, at, into, feeds[0], prefix, handler, most, origin, self._mailbox,
                    self._partitions, Envelope, compiled_encode,
                )  # fmt: skip
                if at == len(records):
                    return
            self._sort(records[at], origin, into)
            at += 1

    def _sort(self, record: Record, origin: str, into: dict[Place, _Group]) -> None:
        for index, feed in enumerate(self._feeds[record.topic]):
            e = self._message(feed, record, origin)
            if index:
                e = e._replace(origin_index=index, id=f"{e.id}.{index}")
            count = self._partitions
            number = record.partition % count if e.headers else partition_of(e.target, count)
            item = (e.target.encode(), encode_envelope(e))
            into.setdefault((self._mailbox, number), []).append((item, record, feed))

    def _message(self, feed: AnyFeed, record: Record, origin: str) -> Envelope:
        """The message for a record: none of them may hold up those behind it, whatever is in it."""
        try:
            return feed.message(record, origin)
        except Exception as error:
            _log.exception("%s[%d] at %d is put aside", record.topic, record.partition, record.offset)
            return feed.refused(record, origin, f"it cannot be read: {said(error)}")

    def _append(
        self, appender: Appender, home: Place, group: _Group, source: Source, batch: list[int]
    ) -> None:
        token = source, source.era, batch
        try:
            appender.append(home, [item for item, _, _ in group], token)
            batch[1] += 1
        except RecordTooLarge:
            for item, record, feed in group:
                try:
                    appender.append(home, [item], token)
                except RecordTooLarge as error:
                    e = feed.refused(record, source.origin, f"its message is too large: {error}")
                    index = self._feeds[record.topic].index(feed)
                    e = e._replace(origin_index=index)
                    appender.append(home, [(e.target.encode(), encode_envelope(e))], token)
                batch[1] += 1
