"""A skipped Kafka test is a failed run: nobody reads the list of skips."""

import pytest
from hypothesis import settings

settings.register_profile("plexstream", deadline=None)  # on a busy machine an example may take long
settings.load_profile("plexstream")

_skipped = pytest.StashKey[list[str]]()


def pytest_configure(config):
    config.stash[_skipped] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and item.get_closest_marker("kafka"):
        item.config.stash[_skipped].append(item.nodeid)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    # A module that skips itself never shows the markers of its tests.
    report = yield
    if report.skipped:
        collector.config.stash[_skipped].append(collector.nodeid)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session):
    if session.config.stash[_skipped] and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter, config):
    for name in config.stash[_skipped]:
        terminalreporter.write_line(f"FAILED RUN: {name} was skipped; tests with Kafka must run", red=True)
