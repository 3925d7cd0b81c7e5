"""Folders of state stores that are damaged or gone: rebuilt from the log, and said so."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from nodes import Start
from serving import PARTITIONS, Served

pytestmark = pytest.mark.slow
LEDGERS = 12


def garble(path: Path, random_: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(-(-len(data) // 20)):
        data[random_.randrange(len(data))] = random_.randrange(256)
    path.write_bytes(data)


def named(stem: str, change: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        for path in folder.iterdir():
            if path.name.startswith(stem) or path.suffix == stem:
                change(path)

    return apply


DAMAGE: list[tuple[str, Callable[[Path], None]]] = [
    ("MANIFEST is garbled", named("MANIFEST", lambda p: garble(p, random.Random(10)))),
    ("CURRENT is empty", named("CURRENT", lambda p: p.write_bytes(b""))),
    ("CURRENT names nothing", named("CURRENT", lambda p: p.write_bytes(b"MANIFEST-999999\n"))),
    ("MANIFEST is gone", named("MANIFEST", lambda p: p.unlink())),
    ("its log is garbled", named(".log", lambda p: garble(p, random.Random(11)))),
    ("its log is cut", named(".log", lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]))),
    ("its log is gone", named(".log", lambda p: p.unlink())),
    ("tables are garbled", named(".sst", lambda p: garble(p, random.Random(12)))),
    ("tables are gone", named(".sst", lambda p: p.unlink())),
    ("all files are empty", named("", lambda p: p.write_bytes(b"") if p.is_file() else None)),
    ("it is gone", lambda folder: shutil.rmtree(folder)),
    ("it is a file", lambda folder: (shutil.rmtree(folder), folder.write_text("x"))[0]),  # type: ignore[func-returns-value]
]
# What RocksDB can neither open nor read is said to be rebuilt; a log that ends early is only an older store.
SAID = {"MANIFEST is garbled", "CURRENT is empty", "CURRENT names nothing", "MANIFEST is gone"}


def test_damage(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)
    number = 0
    for what, damage in DAMAGE:
        counts = work(node, number)
        number += 1
        # By turns in good order and not: RocksDB's files differ.
        if number % 2:
            assert node.terminate() == 0
        else:
            node.kill()
        said = len(node.log())
        for partition in range(PARTITIONS):
            damage(node.folder / "state" / f"{partition:05}")
        node.start().ready(PARTITIONS)
        for ledger, report in counts.items():
            assert node.report(ledger) == report, f"{what}: {ledger}"
        if what in SAID:
            assert node.log()[said:].count("the state store is rebuilt") == PARTITIONS, what
    work(node, number)
    # No state at all changes nothing.
    counts = work(node, number + 1)
    assert node.terminate() == 0
    shutil.rmtree(node.folder / "state")
    node.start().ready(PARTITIONS)
    assert {ledger: node.report(ledger) for ledger in counts} == counts


def work(node: Served, number: int) -> dict[str, object]:
    for ledger in range(LEDGERS):
        answer = node.ask(f"ledger/{ledger}", "add", caller="c", number=number)
        assert answer.json() == {"count": number + 1}, answer.text
    return {f"ledger/{ledger}": node.report(f"ledger/{ledger}") for ledger in range(LEDGERS)}
