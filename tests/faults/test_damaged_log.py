"""An embedded log that lacks what was acknowledged: nothing starts or is wiped before that is accepted."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nodes import Start
from serving import LONG, PARTITIONS, Served

pytestmark = pytest.mark.slow
LEDGERS = 8


def work(node: Served, first: int, last: int) -> None:
    for number in range(first, last):
        for ledger in range(LEDGERS):
            answer = node.ask(f"ledger/{ledger}", "add", caller="c", number=number)
            assert answer.json() == {"count": number + 1}, answer.text


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "LOCK"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def refused(node: Served, says: str, *, keeps: str) -> None:
    before = files(node.folder / keeps)
    said = len(node.log())
    node.start()
    assert node.process is not None
    assert node.process.wait(LONG) != 0
    text = node.log()[said:]
    assert says in text
    assert "plexstream doctor --repair" in text
    assert files(node.folder / keeps) == before


def repair(node: Served) -> str:
    command = [sys.executable, "-m", "plexstream", "doctor", "--data", str(node.folder), "--repair", "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONG)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_log_that_is_older_than_its_state_stores(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)
    work(node, 0, 2)
    assert node.terminate() == 0
    shutil.copytree(node.folder / "log", node.folder.parent / "older")
    node.start().ready(PARTITIONS)
    work(node, 2, 4)
    assert node.terminate() == 0
    shutil.rmtree(node.folder / "log")
    shutil.copytree(node.folder.parent / "older", node.folder / "log")
    refused(node, "this state store reflects plex.journal[", keeps="state")
    text = repair(node)
    assert "lost: offsets " in text
    node.start().ready(PARTITIONS)
    work(node, 2, 4)  # as of the older log; and nobody takes the new calls for those that are lost
    assert node.terminate() == 0
    node.start().ready(PARTITIONS)
    work(node, 4, 5)
    assert node.terminate() == 0


def test_one_bit_in_the_write_ahead_log(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)
    work(node, 0, 3)
    node.kill()
    wal = max((node.folder / "log").glob("wal-*"))
    data = bytearray(wal.read_bytes())
    data[len(data.rstrip(b"\0")) // 2] ^= 4  # zeros that are behind its end are nothing
    wal.write_bytes(data)
    refused(node, f"{wal} is damaged at byte ", keeps="")
    text = repair(node)
    assert "of plex.journal[" in text
    node.start().ready(PARTITIONS)
    for ledger in range(LEDGERS):
        node.ask(f"ledger/{ledger}", "add", caller="d", number=0)
    assert node.terminate() == 0
