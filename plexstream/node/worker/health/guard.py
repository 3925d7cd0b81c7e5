"""What goes wrong with one partition costs that one its reign, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec

from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import HistoryGone, LogError, StoreCorrupt, StoreUnavailable
from plexstream.model.messages.text import said
from plexstream.node.partition.service.driver import Driver

_log = logging.getLogger("plexstream.node")
P = ParamSpec("P")

GONE_S = 60.0
"""How soon a partition is claimed again whose state the log cannot tell: somebody has to do something."""
STORE_S = 2.0
"""How soon a partition whose state store could not be used is claimed again."""
TOO_LARGE_S = 5.0
"""The same where the journal takes no record of the size of a turn: somebody has to raise its limit."""


def guard(driver: Driver, call: Callable[P, None], *args: P.args, **named: P.kwargs) -> None:
    """Call a driver, or what it waits for."""
    try:
        call(*args, **named)
    except Exception as error:
        try:
            _give_up(driver, getattr(call, "__name__", "a call"), error)
        except Exception:  # nothing that goes wrong with an error may end the worker
            _log.exception("partition %d: giving it up failed", driver.partition)
            driver.lose(said(error))


def _give_up(driver: Driver, what: str, error: Exception) -> None:
    """The partition's reign is over because of an error, which says how soon to claim it again."""
    if isinstance(error, HistoryGone):
        _log.error("partition %d stays out of service: %s", driver.partition, error)
        driver.again_s = GONE_S
    elif isinstance(error, RecordTooLarge):
        _log.error("partition %d waits until its journal takes this turn: %s", driver.partition, error)
        driver.again_s = TOO_LARGE_S
    elif isinstance(error, StoreUnavailable):
        _log.error("partition %d waits for its state store: %s", driver.partition, error)
        driver.again_s = STORE_S
    elif isinstance(error, StoreCorrupt):
        _log.warning("partition %d: the state store is rebuilt: %s", driver.partition, error)
        driver.s.close_store(driver.partition, wipe=True)
    elif not isinstance(error, LogError):
        _log.error("partition %d: %s failed", driver.partition, what, exc_info=error)
        error = RuntimeError(said(error))
    driver.lose(str(error))
