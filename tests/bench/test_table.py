"""What a table of the benchmarks says: medians, their spread, ratios of rounds, targets, the history."""

import json
import subprocess

import pytest

from bench import history, jars, recovery, table
from bench.contenders import FED, MAILBOX, QUIX, RAW, STREAMS
from bench.rows import EMBEDDED, FULL, QUICK, WORKERS
from bench.table import Ratio
from bench.venvs import Unavailable


def counted(mailbox, raw, **others):
    rates = {MAILBOX: mailbox, RAW: raw, **others}
    return {("counter", who, "rate"): dict(enumerate(values)) for who, values in rates.items()}


def line(samples, what):
    (found,) = [one for one in table.lines(samples) if one.what == what]
    return found


def test_a_ratio_is_of_rounds_and_not_of_medians():
    # The second round was disturbed, for both alike.
    found = line(counted([100, 20, 120], [200, 50, 120]), "plexstream, Kafka, from the mailbox")
    assert found.ratios == {RAW: Ratio(0.5, 0.4, 1.0, 3)}
    assert table.cells(found)[1:3] == ["100 records/s (20.0–120)", "0.5 (0.4–1) × by hand"]
    assert found.figure == 100


def test_a_round_that_one_has_not_is_no_ratio():
    samples = counted([100, 20, 120], [200])
    assert line(samples, "plexstream, Kafka, from the mailbox").ratios == {RAW: Ratio(0.5, 0.5, 0.5, 1)}
    samples["counter", RAW, "rate"] = {5: 1.0}
    assert line(samples, "plexstream, Kafka, from the mailbox").ratios == {}


def test_targets_are_judged_by_ratios_and_those_without_a_peer_not_at_all():
    found = line(counted([50], [100], **{QUIX: [10]}), "plexstream, Kafka, from the mailbox")
    assert found.verdict() == "NO: ≥ 1 × by hand missed by 0.5 (50%)"
    assert [t.peer for t in found.targets] == [RAW, QUIX, STREAMS]
    found = line(counted([100], [100], **{QUIX: [10], STREAMS: [99]}), "plexstream, Kafka, from the mailbox")
    assert found.verdict() == "yes: ≥ 1 × by hand, ≥ 3 × Quix Streams, ≥ 1 × Kafka Streams"
    assert line(counted([1], [1]), "by hand, exactly once, RocksDB").verdict() == ""


def test_asks_are_compared_with_nothing_that_is_no_call():
    samples = counted([50], [100]) | {
        ("counter", RAW, "p50"): {0: 8.0}, ("asks", "client, Kafka", "p50 1"): {0: 1.0},
    }  # fmt: skip
    found = line(samples, "client, Kafka, 1 caller: p50")
    assert found.ratios == {}
    assert found.verdict().startswith("NO: ≤ 0.85 ms missed by 0.15 ms")


def test_the_embedded_log_is_not_compared_with_peers_on_kafka():
    samples = counted([50], [100], **{EMBEDDED: [40]}) | {
        ("recovery", EMBEDDED, "rate"): {0: 1.0}, ("recovery", RAW, "rate"): {0: 1.0},
    }  # fmt: skip
    assert line(samples, "plexstream, embedded, from the mailbox").ratios == {}
    assert line(samples, "recovery, store lost: plexstream, embedded").ratios == {}


def test_more_workers_and_more_state_are_compared_with_the_least():
    samples = {("scaling", f"{n}", "rate"): {0: 100.0 * n} for n in WORKERS}
    samples |= {("size", f"{n}", "cpu"): {0: 20.0} for n in FULL.states}
    assert line(samples, "counter, Kafka, 4 worker processes").ratios == {"1": Ratio(4.0, 4.0, 4.0, 1)}
    found = line(samples, "10,000,000 actors have state, embedded: CPU time of a turn")
    assert table.cells(found)[2] == "1 × 10,000 actors"
    assert max(QUICK.states) == 100_000


def test_a_landed_measurement_is_one_line(tmp_path):
    samples = counted([100, 100], [200, 250], **{FED: [50, 50]})
    about = {"when": "2026-12-01 10:00", "commit": "abc", "CPU": "two cores"}
    text = history.line(about, table.lines(samples))
    assert text.startswith("| 2026-12-01 | abc | two cores | 0.45 (0.4–0.5) |  |  | 0.23 (0.2–0.25) |  |  |")
    head = history.FILE.read_text()
    columns = next(row for row in head.splitlines() if row.startswith("| date"))
    assert text.count("|") == columns.count("|")
    file = tmp_path / "history.md"
    file.write_text(head)
    history.add(file, text)
    assert file.read_text() == f"{head}{text}\n"


def test_every_landed_result_has_its_line():
    text = history.FILE.read_text()
    for result in (history.FILE.parent / "results").glob("*.json"):
        about = json.loads(result.read_text())["about"]
        assert f"| {about['when'][:10]} | {about['commit']} |" in text


def test_peers_tell_of_their_restores_themselves():
    said = "\n".join([
        "what it says besides", 'restored {"records": 0, "began": 10, "ended": 90000}',
        'restored {"records": 300, "began": 1000, "ended": 1500}',
        'restored {"records": 100, "began": 1100, "ended": 3000}',
    ])  # fmt: skip
    assert recovery._restored(said) == (200.0, 400)
    with pytest.raises(RuntimeError, match="says of no restore"):
        recovery._restored("nothing")


def test_a_jar_that_is_not_the_one_that_is_named_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(jars, "CACHE", tmp_path)

    def fetch(command):
        (folder,) = [word.partition("=")[2] for word in command if word.startswith("-DoutputDirectory=")]
        subprocess.run(["mkdir", "-p", folder], check=True)
        with open(f"{folder}/kafka-streams-4.1.1.jar", "w") as jar:
            jar.write("another")

    monkeypatch.setattr(jars, "run", fetch)
    monkeypatch.setattr(jars.shutil, "which", lambda name: name)
    with pytest.raises(Unavailable, match=r"kafka-streams-4\.1\.1\.jar.*not those of"):
        jars.command()
    assert not list(tmp_path.iterdir())
