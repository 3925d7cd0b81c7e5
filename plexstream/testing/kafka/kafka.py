"""One Kafka broker for a test session, from wherever this machine can have one."""

import atexit
import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from plexstream.testing.errors import KafkaUnavailableError


@contextlib.contextmanager
def running_kafka() -> Iterator[str]:
    """Provide a broker for the duration of a `with` block.

    In this order: the one that `KAFKA_BOOTSTRAP_SERVERS` names, a container if a Docker engine answers
    (`PLEXSTREAM_KAFKA_IMAGE` names another image than Apache Kafka's), a child process on this machine's
    Java.

    Yields:
        The bootstrap address.

    Raises:
        KafkaUnavailableError: there is no broker to be had; the message says what is missing.
    """
    address = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if address:
        yield address
        return
    # Around the start alone: an error in the caller's block is none of the broker's.
    with _container() or _process() as address:
        yield address


@cache
def kafka_address() -> str:
    """Return the address of a broker that runs until this process ends; see `running_kafka`.

    Raises:
        KafkaUnavailableError: there is no broker to be had.
    """
    broker = contextlib.ExitStack()
    atexit.register(broker.close)
    return broker.enter_context(running_kafka())


def _container() -> AbstractContextManager[str] | None:
    try:
        from docker.errors import DockerException
        from testcontainers.core.docker_client import DockerClient
    except ModuleNotFoundError:
        return None
    if not _engine_answers(DockerClient, DockerException):
        return None

    from plexstream.testing.kafka.container import IMAGE, KafkaContainer

    container = KafkaContainer()
    try:
        address = container.start().address
    except DockerException as error:
        container.stop()
        print(
            f"plexstream: Docker answers, but {IMAGE} does not start ({error}): "
            "trying a broker on this machine's Java",
            file=sys.stderr,
        )
        return None
    broker = contextlib.ExitStack()
    broker.callback(container.stop)
    return _entered(address, broker)


def _engine_answers(client: Callable[[], Any], failure: type[Exception]) -> bool:
    # A client whose constructor fails leaves its socket to the garbage collector, which would say so in the
    # middle of some later test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            return bool(client().client.ping())
        except (failure, OSError):
            return False
        finally:
            gc.collect()


@contextlib.contextmanager
def _process() -> Iterator[str]:
    from plexstream.testing.kafka.broker import LocalBroker

    try:
        broker = LocalBroker()
    except KafkaUnavailableError as error:
        raise KafkaUnavailableError(
            "no Kafka broker for the tests: KAFKA_BOOTSTRAP_SERVERS is not set, there is no container, "
            f"and a broker on this machine cannot run: {error}"
        ) from error
    with broker:
        yield broker.address


@contextlib.contextmanager
def _entered(address: str, stack: contextlib.ExitStack) -> Iterator[str]:
    with stack:
        yield address
