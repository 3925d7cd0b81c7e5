"""A damaged embedded log goes on without what is lost, if its owner says so; an older one is converted."""

import json
import os
import re
from pathlib import Path
from struct import Struct

import pytest
from damaging import PLACES, Folder, everything, make, make_small
from log_driving import fill
from rocksdict import Options, Rdict
from typer.testing import CliRunner

from plexstream.cli.app import app
from plexstream.log.embedded.files import manifest
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.embedded.repair import legacy, repair
from plexstream.model.errors import LogDamaged, LogError


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    monkeypatch.setattr(repair, "LEAP", 50)


def flip(file: Path, at: int) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


def files(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"}


DAMAGE = {
    "flip": lambda file, size: flip(file, size // 2),
    "cut": lambda file, size: os.truncate(file, size // 2),
    "gone": lambda file, size: file.unlink(),
}


VOID = (b"void", b"nothing")


def void(topic: str) -> tuple[bytes, bytes] | None:
    """As if partitions of `t` must not have holes."""
    return VOID if topic == "t" else None


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("tidied", [False, True])
def test_a_repair_keeps_what_is_whole_and_gives_no_offset_away_twice(tmp_path, damage, tidied):
    told = make(tmp_path / "log", tidied)
    folder = Folder(tmp_path / "log")
    repaired = 0
    for name, data in folder.files.items():
        folder.restore()
        DAMAGE[damage](folder.path / name, len(data))
        before = files(folder.path)
        found = repair.examine(folder.path)
        assert files(folder.path) == before
        if not found.damages:
            with pytest.raises(LogError, match="nothing to repair"):
                repair.repair(folder.path, void)
            continue
        with pytest.raises(LogDamaged, match=name):
            EmbeddedLog(folder.path)
        done = repair.repair(folder.path, void)
        assert done.damages == found.damages
        assert any(d.file.name == name and d.lost for d in done.damages)
        repaired += 1
        assert files(done.copy) == before
        done.copy.rename(tmp_path / f"kept-{name}")
        log = EmbeddedLog(folder.path)
        if "t" in log.topics():
            left = everything(log)
            for place, mine in zip(PLACES[:2], left, strict=False):
                assert [r.offset for r in mine] == list(range(*log.range(place))), "a hole"
            left = [[r for r in mine if (r.key, r.value) != VOID] for mine in left]
            for mine, whole in zip(left, told.records, strict=True):
                assert set(mine) <= set(whole), "a record that never was"
            if name.startswith("segment-"):
                assert sum(map(len, left)) < sum(map(len, told.records)), "nothing was lost"
            for place, (_, end) in zip(PLACES[:2], told.ranges, strict=False):
                assert fill(log, place, b"new") >= end, "an offset was given away twice"
            assert [log.topic_id(topic) for topic in ("t", "c")] == told.lives
        log.close()
        assert repair.examine(folder.path).damages == []
    assert repaired >= (3 if tidied else 1)


def test_a_log_without_any_manifest_cannot_be_repaired(tmp_path):
    make(tmp_path / "log", True)
    for name in manifest.NAMES:
        (tmp_path / "log" / name).unlink()
    with pytest.raises(LogDamaged, match="restore the folder from a backup"):
        repair.repair(tmp_path / "log", void)
    assert not list(tmp_path.glob("log.damaged-*"))


def test_a_log_in_use_is_neither_examined_nor_repaired(tmp_path):
    make(tmp_path / "log", True)
    log = EmbeddedLog(tmp_path / "log")
    with pytest.raises(LogError, match="held by another process"):
        repair.examine(tmp_path / "log")
    with pytest.raises(LogError, match="held by another process"):
        repair.repair(tmp_path / "log", void)
    log.close()


def doctor(*arguments: str, says: str | None = None) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doctor", *arguments], input=says)
    return done.exit_code, done.output


def test_doctor_says_what_is_lost_and_asks(tmp_path):
    make(tmp_path / "log", True)
    (first, *_) = sorted((tmp_path / "log").glob("segment-1-0-*"))
    flip(first, first.stat().st_size // 2)
    before = files(tmp_path / "log")
    code, text = doctor("--data", str(tmp_path))
    assert code == 1
    assert f"{first} is damaged at byte " in text
    assert "plexstream doctor --repair" in text
    code, text = doctor("--data", str(tmp_path), "--repair", says="n\n")
    assert code == 1
    assert re.search(r"lost: offsets \d+ to \d+ of t\[0\]", text)
    assert files(tmp_path / "log") == before
    code, text = doctor("--data", str(tmp_path), "--repair", "--yes")
    assert code == 0
    (copy,) = tmp_path.glob("log.damaged-*")
    assert str(copy) in text
    code, text = doctor("--data", str(tmp_path), "--repair")
    assert "there is nothing to repair" in text
    EmbeddedLog(tmp_path / "log").close()


# The format before this one: see plexstream/log/embedded/repair/legacy.py.
KEY = Struct(">cIIq")
BOUNDS = Struct(">cII")


def old_log(path: Path, without: int | None = None) -> None:
    db = Rdict(str(path), Options(raw_mode=True))
    db[b"format"] = b"plexstream log 1"
    for id, name, partitions, config in (
        (1, "t", 2, {}),
        (2, "c", 1, {"cleanup.policy": "compact"}),
        (300, "empty", 1, {"retention.ms": "7"}),
    ):
        topic = {"id": id, "partitions": partitions, "config": config}
        if name == "t":
            topic["life"] = "the life of t"
        db[b"t" + name.encode()] = json.dumps(topic).encode()
    for offset in range(1, 300):  # what is below 3 was trimmed, and not erased
        if offset != without:
            value = b"0" if offset % 7 == 0 else b"1value %d" % offset
            db[KEY.pack(b"r", 1, 1, offset)] = (1000 + offset).to_bytes(8) + (3).to_bytes(4) + b"key" + value
    db[BOUNDS.pack(b"b", 1, 1)] = (3).to_bytes(8) + (10).to_bytes(8)
    db[KEY.pack(b"r", 2, 0, 5)] = (1).to_bytes(8) + (0).to_bytes(4) + b"1"
    db[BOUNDS.pack(b"b", 2, 0)] = (0).to_bytes(8) + (9).to_bytes(8)
    db[b"erelay"] = (4).to_bytes(8)
    db[b"p" + json.dumps(["relay", "t", 1]).encode()] = (77).to_bytes(8) + b"the life of t"
    db.close()


def check_converted(path: Path) -> None:
    log = EmbeddedLog(path)
    assert log.topics() == {"t": 2, "c": 1, "empty": 1}
    assert log.topic_id("t") == "the life of t"
    assert log.topic_id("c") != log.topic_id("empty")
    assert log.range(("t", 0)) == (0, 0)
    assert log.range(("t", 1)) == (3, 300)
    assert log.range(("c", 0)) == (0, 9)
    _, records, compacted = everything(log)
    assert [(r.offset, r.time, r.key) for r in records] == [(n, 1000 + n, b"key") for n in range(3, 300)]
    assert [r.value for r in records] == [None if n % 7 == 0 else b"value %d" % n for n in range(3, 300)]
    assert [(r.offset, r.key, r.value) for r in compacted] == [(5, b"", b"")]
    relay = log.transaction("relay", "the life of t")
    assert relay._epoch == 5
    assert relay.position(("t", 1)) == 77
    assert fill(log, ("t", 1), b"new") == 300
    log.close()


def test_a_log_of_the_format_before_is_refused_with_the_command_that_converts_it(tmp_path):
    old_log(tmp_path / "log")
    with pytest.raises(LogError, match="plexstream doctor --convert"):
        EmbeddedLog(tmp_path / "log")
    code, text = doctor("--data", str(tmp_path))
    assert code == 1
    assert "--convert" in text
    code, text = doctor("--data", str(tmp_path), "--convert")
    assert code == 0
    assert "298 records in 3 topics" in text
    (old,) = tmp_path.glob("log.old-*")
    assert str(old) in text
    assert (old / "CURRENT").exists()
    check_converted(tmp_path / "log")
    code, text = doctor("--data", str(tmp_path), "--convert")
    assert code != 0
    assert "nothing to convert" in text


def test_a_conversion_that_is_cut_short_is_done_again(tmp_path, monkeypatch):
    old_log(tmp_path / "log")

    def killed(folder, found):
        raise KeyboardInterrupt

    write = manifest.write
    monkeypatch.setattr(manifest, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        legacy.convert(tmp_path / "log")
    monkeypatch.setattr(manifest, "write", write)
    with pytest.raises(LogError, match="plexstream doctor --convert"):
        EmbeddedLog(tmp_path / "log")
    legacy.convert(tmp_path / "log")
    check_converted(tmp_path / "log")


def test_a_conversion_does_not_pass_over_what_is_missing(tmp_path):
    old_log(tmp_path / "log", without=100)
    with pytest.raises(LogDamaged, match=r"offsets 100 to 100 of t\[1\]"):
        legacy.convert(tmp_path / "log")
    lost = []
    done = legacy.convert(tmp_path / "log", lost.append)
    assert len(lost) == 1
    assert done.records == 297
    log = EmbeddedLog(tmp_path / "log")
    assert [r.offset for r in everything(log)[1]] == [n for n in range(3, 300) if n != 100]
    log.close()


def test_a_conversion_leaves_another_database_alone(tmp_path):
    db = Rdict(str(tmp_path / "log"), Options(raw_mode=True))
    db[b"some"] = b"thing"
    db.close()
    with pytest.raises(LogError, match="another database"):
        legacy.convert(tmp_path / "log")
    with pytest.raises(LogError, match="nothing to convert"):
        legacy.convert(tmp_path)
