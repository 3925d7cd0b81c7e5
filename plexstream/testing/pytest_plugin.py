"""pytest fixtures for tests that need Kafka; pytest loads this by itself where plexstream is installed.

`kafka` is the address of one broker for the session, `local_broker` a private one to kill, and
`topic_prefix` keeps tests that share a broker apart. Tests that use a broker are marked `kafka`.
"""

# Loaded into every pytest run, so whatever is heavy is imported where it is used.
import re
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from plexstream.testing.kafka.broker import LocalBroker


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "kafka: needs a Kafka broker")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a broker, so that `-m "not kafka"` finds it."""
    for item in items:
        if {"kafka", "local_broker"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("kafka")


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give the bootstrap address of a Kafka broker that serves the whole session."""
    from plexstream.testing.kafka.kafka import running_kafka

    broker = running_kafka()
    with _visible_output(request.config):
        address = broker.__enter__()
    try:
        yield address
    finally:
        broker.__exit__(None, None, None)


@pytest.fixture
def local_broker(request: pytest.FixtureRequest) -> Iterator["LocalBroker"]:
    """Give a running broker of this test's own, to be killed and restarted."""
    from plexstream.testing.kafka.broker import LocalBroker

    broker = LocalBroker()
    try:
        with _visible_output(request.config):
            broker.start()
        yield broker
    finally:
        broker.close()


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> Iterator[str]:
    """Give a prefix for topic names, unique to this test; the session's broker loses such topics after it."""
    name = re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name)[:40].strip("-")
    prefix = f"{name}-{uuid.uuid4().hex[:8]}."
    yield prefix
    if "kafka" in request.fixturenames:
        _delete_topics(request.getfixturevalue("kafka"), prefix)


def _delete_topics(address: str, prefix: str) -> None:
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": address})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if names:
        for deleted in admin.delete_topics(names).values():
            deleted.result(10)


def _visible_output(config: pytest.Config) -> AbstractContextManager[Any]:
    """Let the first start on a machine, which takes a while, say so past pytest's capturing."""
    capture = config.pluginmanager.getplugin("capturemanager")
    return nullcontext() if capture is None else capture.global_and_fixture_disabled()
