"""Two nodes on three brokers, callers of every kind, one fault after the other: what was acknowledged stays.

All faults befall the same installation: whatever one of them leaves behind, the next one meets.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import stalls
from callers import KINDS, Callers
from outages import OUTAGES, Outage
from reckoning import all_of
from room import Installation, Room

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

SETTLED_S = 60.0
TOLD = "told"  # what tests/conftest.py prints at the end of a run


@pytest.mark.parametrize("outage", OUTAGES, ids=[outage.id for outage in OUTAGES])
def test_what_is_acknowledged_stays(
    room: Room, outage: Outage, record_property: Callable[[str, object], None]
) -> None:
    on = room.give(lambda why: record_property(TOLD, ("brokers restarted:", why)))
    name = f"{OUTAGES.index(outage)}x"
    try:
        with on.callers(name) as callers:
            callers.more("before the fault")
            struck = time.monotonic()
            undo = outage.strike(on)
            serves = time.monotonic()
            try:
                callers.more("during the fault", outage.goes_on)
            finally:
                watch = None if outage.goes_on == KINDS else stalls.Watch(on)
                undo()
            undone = time.monotonic()
            callers.more("after the fault")
            serves = serves if watch is None else watch.served_at()
        row = stalls.row(outage.name, callers.history, struck, serves, undone)
        record_property(TOLD, (stalls.HEAD, row))
        reckon(on, callers)
    except BaseException:
        for node in on.nodes:
            print(f"--- log of {node.folder.name}:", *node.log().splitlines()[-60:], sep="\n")
        room.close()
        raise


def reckon(on: Installation, callers: Callers) -> None:
    """Wait until what was acknowledged has taken effect, and compare."""
    end = time.monotonic() + SETTLED_S
    while True:
        records = [record for record in on.outputs() if record["row"].startswith(f"row/{callers.name}-")]
        wrong = all_of(callers.history, on.reports(callers.name), records, on.paid())
        if not wrong:
            return
        if time.monotonic() > end:
            break
        time.sleep(0.3)
    pytest.fail("\n".join([f"{len(wrong)} things are wrong:", *wrong[:20], *traces(on, wrong)]))


def traces(on: Installation, wrong: list[str]) -> list[str]:
    """Where the log has what is wrong."""
    ids = dict.fromkeys(word for line in wrong for word in line.split() if word[:1].isalpha() and "." in word)
    assert on.tap is not None
    return [f"{id}: {', '.join(on.tap.offsets(id)) or 'not in the log'}" for id in list(ids)[:5]]
