"""One worker process of a node on Kafka. It ends with the node, however that dies."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import time
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from plexstream.blobs.objects import NOWHERE, Target
from plexstream.hosts.load import load_actors
from plexstream.log.base import Replication
from plexstream.log.installation import Control
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.process.threads import Lasting, passing, unwell
from plexstream.model.topics.topics import Topics
from plexstream.node.ingest.spaces import Fed
from plexstream.node.worker.membership import Membership
from plexstream.node.worker.unit import Unit
from plexstream.processor import Settings
from plexstream.sdk.errors import DeclarationWarning

_log = logging.getLogger("plexstream.node")

STOP_S = 5.5
"""How long a worker may take to end."""
REPORT_S, UNREADY_REPORT_S = 0.25, 0.05
"""How often a worker tells the node how it is: once it is ready, and before."""


class WorkerSpec(NamedTuple):
    """What a worker process must know."""

    app: Path
    kafka: str
    kafka_settings: dict[str, str]
    replication: Replication
    topics: Topics
    partitions: int
    settings: Settings
    state_dir: Path
    node: str
    member: str
    max_message: int
    log_level: int
    control: dict[bytes, bytes] | None = None
    long_s: float = 5.0
    stuck_s: float = 30.0
    spaces: tuple[Fed, ...] = ()
    blobs: Target = NOWHERE


def work(spec: WorkerSpec, pipe: Connection) -> None:
    """Body of a worker process: work until the node says stop, or is gone. Exits with 1 if it broke."""
    for ignored in (signal.SIGINT, signal.SIGTERM):  # the node decides, and tells by the pipe
        signal.signal(ignored, signal.SIG_IGN)
    logging.basicConfig(
        level=spec.log_level, format=f"%(asctime)s %(levelname)s [{spec.member}] %(name)s: %(message)s"
    )
    stop = threading.Event()
    broken: list[BaseException] = []

    def ended(error: BaseException | None) -> None:
        if error is not None:
            broken.append(error)
        stop.set()

    log = KafkaLog(spec.kafka, spec.kafka_settings, spec.replication)
    warnings.simplefilter("ignore", DeclarationWarning)  # the node has told of them
    app = load_actors(spec.app)
    unit = Unit(
        log,
        spec.topics,
        spec.partitions,
        app,
        spec.settings,
        spec.state_dir,
        spec.node,
        spec.max_message,
        ended,
        None if spec.control is None else Control(log, spec.topics, spec.control),
        spec.long_s,
        spec.stuck_s,
        spec.spaces,
        spec.blobs,
    )
    membership = Membership(
        spec.kafka, spec.kafka_settings, spec.topics, spec.member, unit.assign, unit.worker.has_let_go,
        log.views,
    )  # fmt: skip
    unit.start()
    membership.start()
    parent = Lasting("parent", lambda: _listen(pipe, stop), stop.is_set)
    parent.start()
    threads = [parent, membership.thread]
    status = _status(unit, threads)
    while not stop.wait(REPORT_S if status["ready"] else UNREADY_REPORT_S):
        unit.look()
        status = _status(unit, threads)
        _report(pipe, status)
    passing("ending", _end_anyhow)
    unit.stop()
    membership.stop()
    if not unit.thread.is_alive():
        log.close()
    _report(pipe, {"ready": False, "partitions": [], "sources": []})
    if broken or unit.thread.is_alive():
        os._exit(1)  # threads of a broken worker may not end


def _status(unit: Unit, threads: list[Lasting]) -> dict[str, Any]:
    status = unit.status()
    status["why"] += [f"thread {name} fails" for name in unwell(threads)]
    status["ready"] = not status["why"]
    return status


def _end_anyhow() -> None:
    """A handler that never ends, and a broker that does not answer, hold up nothing for long."""
    time.sleep(STOP_S)
    _log.error("this worker has not ended within %.0f s of being told to, and ends now", STOP_S)
    os._exit(1)


def _listen(pipe: Connection, stop: threading.Event) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        _log.warning("the node is gone, so this worker ends")
    finally:  # whatever is wrong with the pipe: nobody could end this worker any more
        stop.set()


def _report(pipe: Connection, status: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the node is gone; the listener ends us
        pipe.send(status)
