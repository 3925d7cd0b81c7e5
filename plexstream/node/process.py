"""One worker process of a node on Kafka. It ends with the node, however that dies."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import warnings
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from plexstream.hosts.native import load_actors
from plexstream.log.base import Replication
from plexstream.log.installation import Control
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.topics import Topics
from plexstream.node.membership import Membership
from plexstream.node.unit import Unit
from plexstream.processor import Settings
from plexstream.sdk.errors import DeclarationWarning

_log = logging.getLogger("plexstream.node")

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
    )
    membership = Membership(
        spec.kafka, spec.kafka_settings, spec.topics, spec.member, unit.assign, unit.worker.has_let_go,
        log.views,
    )  # fmt: skip
    unit.start()
    membership.start()
    threading.Thread(target=_listen, args=(pipe, stop), daemon=True).start()
    status = unit.status()
    while not stop.wait(REPORT_S if status["ready"] else UNREADY_REPORT_S):
        status = unit.status()
        _report(pipe, status)
    unit.stop()
    membership.stop()
    log.close()
    _report(pipe, {"ready": False, "partitions": [], "sources": []})
    if broken:
        os._exit(1)  # threads of a broken worker may not end


def _listen(pipe: Connection, stop: threading.Event) -> None:
    try:
        pipe.recv()
    except (EOFError, OSError):
        _log.warning("the node is gone, so this worker ends")
    stop.set()


def _report(pipe: Connection, status: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the node is gone; the listener ends us
        pipe.send(status)
