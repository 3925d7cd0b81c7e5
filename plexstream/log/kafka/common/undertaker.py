"""Where admin clients end: on a thread of ours, whoever lets go of them.

librdkafka aborts the whole process when a client is destroyed on a thread of its own, and confluent-kafka
runs Python code on one, to set the futures of admin clients. The garbage collector may run just there, and
find a client that nobody has any more.
"""

from __future__ import annotations

import threading
import weakref
from queue import SimpleQueue

from confluent_kafka.admin import AdminClient

from plexstream.model.process.threads import Lasting

_ended: SimpleQueue[AdminClient] = SimpleQueue()
_lock = threading.Lock()
_thread: threading.Thread | None = None


def watch(owner: object, client: AdminClient) -> weakref.finalize[[AdminClient], object]:
    """Keep `client` until `owner` is gone, or what is returned is called; then let it go in a good place."""
    global _thread
    with _lock:
        if _thread is None or not _thread.is_alive():  # a forked process has none
            _thread = Lasting("undertaker", _work, lambda: False)
            _thread.start()
    ending = weakref.finalize(owner, _ended.put, client)
    ending.atexit = False  # the process ends with it
    return ending


def _work() -> None:
    while True:
        _ended.get()  # the last reference, dropped here
