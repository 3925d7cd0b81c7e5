"""The committer's waits: whatever it is told, at whatever moment, it hears."""

import threading
from types import SimpleNamespace

import pytest

from plexstream.log.embedded.threads import committer as module


class Storage:
    """What a committer needs of a log's files."""

    def __init__(self):
        self.synced = threading.Event()
        self.outage = self.checkpoints = self
        self.lasts = self.due = False

    def sync(self):
        self.lasts = False
        self.synced.set()

    def flush_due(self):
        pass


class Late(threading.Condition):
    """Something happens just as a wait has run out, before whoever waited goes on."""

    def __init__(self, lock):
        super().__init__(lock)
        self.hook = None
        self.ran = threading.Event()

    def wait(self, timeout=None):
        came = super().wait(timeout)
        if timeout is not None and not came and self.hook is not None:
            hook, self.hook = self.hook, None
            hook()
            self.ran.set()
        return came


@pytest.fixture
def storage():
    return Storage()


@pytest.fixture
def committer(storage, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", 0.3)
    with monkeypatch.context() as patched:
        patched.setattr(module, "threading", SimpleNamespace(Condition=Late, Lock=threading.Lock))
        made = module.Committer(storage, lambda: None)
    yield made
    made._stopped = True
    for _ in range(500):
        with made._due:
            made._due.notify()
        made.thread.join(0.02)
        if not made.thread.is_alive():
            return


def test_its_end_is_heard_as_a_wait_runs_out(committer):
    def stop():
        committer._stopped = True
        committer._due.notify()

    committer._due.hook = stop
    committer.thread.join(10)
    assert not committer.thread.is_alive()


def test_an_outage_is_heard_of_as_a_wait_runs_out(committer, storage):
    def outage():
        storage.lasts = True
        committer._due.notify()

    committer._due.hook = outage
    assert committer._due.ran.wait(10)
    assert storage.synced.wait(10)


def test_what_is_urgent_is_heard_of_as_a_wait_runs_out(committer, storage):
    acks = []

    def urgent():
        committer._waiting.append((acks.extend, "ack"))
        committer._urgent = True
        committer._due.notify()

    committer._due.hook = urgent
    assert committer._due.ran.wait(10)
    assert storage.synced.wait(10)
