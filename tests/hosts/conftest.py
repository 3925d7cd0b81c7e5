"""A host with the actors of one test, and state that outlives an instance."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # pytest's import mode adds no directories

from disk import ADDRESS, Disk

from plexstream.hosts.native import NativeHost
from plexstream.model.journal.journal import OutKind
from plexstream.model.journal.timer import timer_piece


class Tester:
    """One actor of one type."""

    __test__ = False

    def __init__(self, cls, **options):
        self.type = cls.__plexstream__.name
        self.host = NativeHost({self.type: cls.__plexstream__}, **options)
        self.disk = Disk()
        self.seq = 0
        self.load()

    def load(self):
        """As after a crash: only what is on disk is left."""
        self.instance = self.host.activate(self.type, ADDRESS, self.disk.fields, self.disk)

    def call(self, handler, payload=b"", *, now=1000, must_read=False, sender=""):
        result = self.host.invoke(self.instance, handler, payload, self.seq + 1, now, sender, "m", must_read)
        if not result.code and not result.read_only:
            self.seq += 1
            self.disk.apply(result.patch)
            for out in result.outs:
                if out.kind == OutKind.TIMER:
                    self.disk.timers_by_id[out.id] = timer_piece(ADDRESS, out, 0, self.seq)
                elif out.kind == OutKind.CANCEL:
                    self.disk.timers_by_id.pop(out.id, None)
        return result

    def ok(self, handler, payload=b"", **options):
        result = self.call(handler, payload, **options)
        assert result.code == "", result.detail
        return result


@pytest.fixture
def tester():
    return Tester
