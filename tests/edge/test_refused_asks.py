"""An ask that the log refuses is told so at once: no reply will come."""

import time

import pytest

from plexstream.edge.calls.sending.sender import Sender
from plexstream.edge.calls.sending.ways import Sending
from plexstream.log.base import TopicSpec
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import LogUnavailable


@pytest.mark.parametrize("waits", [False, True])
def test_what_an_appender_refuses_is_told(waits):
    log = MemoryLog()
    log.create([TopicSpec("mailbox", 1)])
    good = log.appender

    def refusing():
        appender = good()

        def append(place, items, token, *, urgent=True):
            raise LogUnavailable("no room")

        appender.append = append
        return appender

    log.appender = refusing
    told = []
    sender = Sender(log, lambda ids, error: told.append((ids, error)), name="edge")
    now = time.monotonic()
    sender.put(Sending(("mailbox", 0), [(b"k", b"v")], "call", waits, now + 60, now))
    end = now + 20
    while not told and time.monotonic() < end:
        time.sleep(0.01)
    sender.close(1)
    ((ids, error),) = told
    assert ids == ["call"]
    assert isinstance(error, LogUnavailable)
