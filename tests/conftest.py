"""A skipped Kafka test is a failed run: nobody reads the list of skips."""

import gc
import socket
import sys
import traceback
import weakref

import pytest
from hypothesis import settings

settings.register_profile("plexstream", deadline=None)  # on a busy machine an example may take long
settings.load_profile("plexstream")


def pytest_configure(config):
    config.pluginmanager.register(Skipped(), "skipped-kafka-tests")


class Connections:
    """Where connections were made that are open yet: Python tells of one that is forgotten in the middle of
    any later test, and not who made it."""

    def __init__(self):
        self._made = weakref.WeakKeyDictionary()
        sys.addaudithook(self._heard)

    def _heard(self, event, args):
        if event == "socket.connect" and isinstance(args[0], socket.socket):
            self._made[args[0]] = "".join(traceback.format_stack(limit=12)[:-1])

    def take(self):
        """Those that were made since this was called last, and are open."""
        left = self._open()
        if left:
            gc.collect()  # an error that was caught may hold the frame that has one
            left = self._open()
        self._made.clear()
        return left

    def _open(self):
        return [where for connection, where in self._made.items() if connection.fileno() >= 0]


connections = Connections()


@pytest.fixture(scope="module", autouse=True)
def no_connection_is_left_open():
    yield
    left = connections.take()
    if left:
        pytest.fail("\n".join(("these connections, made here, are open yet:", *left)), pytrace=False)


class Skipped:
    """Looks at reports: they arrive here, whichever process ran the test."""

    def __init__(self):
        self.names = []

    def pytest_runtest_logreport(self, report):
        if report.skipped and not hasattr(report, "wasxfail") and "kafka" in report.keywords:
            self.names.append(report.nodeid)

    def pytest_collectreport(self, report):
        # A module that skips itself never shows the markers of its tests.
        if report.skipped:
            self.names.append(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session):
        if self.names and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for name in self.names:
            line = f"FAILED RUN: {name} was skipped; tests with Kafka must run"
            terminalreporter.write_line(line, red=True)


def pytest_terminal_summary(terminalreporter):
    """What tests want to be told at the end: properties `told`, each a head and a line below it."""
    lines = {}
    for report in [report for found in terminalreporter.stats.values() for report in found]:
        if getattr(report, "when", "") == "call":
            for name, value in report.user_properties:
                if name == "told":
                    lines.setdefault(value[0], []).append(value[1])
    for head, below in lines.items():
        for line in (head, *below):
            terminalreporter.write_line(line)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """What a test has logged may be no text that can be sent between processes: halves of surrogate pairs."""
    return _sendable((yield))


def _sendable(data):
    if isinstance(data, str):
        return data.encode(errors="backslashreplace").decode()
    if isinstance(data, dict):
        return {_sendable(key): _sendable(value) for key, value in data.items()}
    return type(data)(map(_sendable, data)) if type(data) in (list, tuple) else data
