"""What was acknowledged survives kill -9 of the process that appended it, at the offset that was said."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from log_driving import fill, take

from plexstream.log.base import Log, Record
from plexstream.log.open import open_log

ROUNDS = 4


def append_and_kill(url: str, topic: str, seed: int) -> list[tuple[int, int, int]]:
    """Run the appending process until it has said some acknowledgements; returns all it said."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).parent / "append_until_killed.py"), url, topic, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    said = [child.stdout.readline() for _ in range(random.Random(seed).randint(1, 800))]
    child.send_signal(signal.SIGKILL)
    said += child.stdout.readlines()
    child.stdout.close()
    assert child.wait() == -signal.SIGKILL, f"it ended by itself, after {said[-3:]}"
    # The last line may be torn.
    return [tuple(map(int, line.split())) for line in said if line.endswith("\n")]  # type: ignore[misc]


def everything(log: Log, topic: str) -> list[Record]:
    start, end = log.range((topic, 0))
    reader = log.reader()
    reader.assign((topic, 0), start)
    found = take(reader, end - start)
    reader.close()
    assert [record.offset for record in found] == list(range(start, end))
    return found


@pytest.mark.parametrize("backend", ["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_acknowledged_groups_survive_kill_9(backend, url, log, make_topic):
    topic = make_topic(1)
    for seed in range(ROUNDS):
        log.close()
        acknowledged = append_and_kill(url, topic, seed)
        assert acknowledged
        log = open_log(url)
        values = {record.offset: record.value for record in everything(log, topic)}
        for last, number, size in acknowledged:
            group = [values.get(last - size + 1 + i) for i in range(size)]
            assert group == [b"%d %d %d" % (seed, number, i) for i in range(size)]
        # Nothing twice, and no group without its predecessors or without its beginning.
        mine = [value.split() for value in values.values() if value.split()[0] == b"%d" % seed]
        numbers = [int(number) for _, number, _ in mine]
        assert sorted(set(numbers)) == list(range(max(numbers) + 1))
        assert numbers == sorted(numbers)
        assert len({tuple(value) for value in mine}) == len(mine)
        end = log.range((topic, 0))[1]
        assert fill(log, (topic, 0), b"%d 0 probe" % (seed + 1000)) == end
    log.close()
