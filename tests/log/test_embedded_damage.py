"""The embedded log never takes damage for emptiness.

Whatever happens to one of its files, the answer is the full history, or a refusal that names file and place.
"""

import random

import pytest
from damaging import PLACES, Folder, History, history, in_memory, make, make_small
from log_driving import fill

from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.model.errors import LogDamaged

__all__ = ["in_memory"]  # a fixture


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


def check(folder: Folder, told: History, name: str) -> str:
    """Open a log that something has happened to: "whole", or "refused" for good reason."""
    refused = ""
    try:
        log = EmbeddedLog(folder.path)
        try:
            found = history(log)
            assert fill(log, ("t", 0), b"new") == told.ranges[0][1]
        finally:
            log.close()
    except LogDamaged as error:
        refused = str(error)
    if refused:
        assert f"{folder.path / name} is damaged at byte " in refused
        assert "doctor --repair" in refused
        return "refused"
    assert found == told
    log = EmbeddedLog(folder.path)
    assert log.range(PLACES[0]) == (told.ranges[0][0], told.ranges[0][1] + 1)
    log.close()
    return "whole"


@pytest.mark.parametrize("tidied", [False, True])
def test_any_flip_is_harmless_or_refused(in_memory, tidied):
    told = make(in_memory / "log", tidied)
    folder = Folder(in_memory / "log")
    outcomes = {"whole": 0, "refused": 0}
    for name, data in folder.files.items():
        for at in range(0, len(data), 1 if len(data) < 300 else 5):
            bit = 1 << (at % 8)
            (folder.path / name).write_bytes(data[:at] + bytes((data[at] ^ bit,)) + data[at + 1 :])
            outcomes[check(folder, told, name)] += 1
            folder.restore()
    assert outcomes["refused"] > 100
    assert outcomes["whole"] > 100


@pytest.mark.parametrize("tidied", [False, True])
def test_any_cut_is_harmless_or_refused(in_memory, tidied):
    told = make(in_memory / "log", tidied)
    folder = Folder(in_memory / "log")
    cut = set()
    for name, data in folder.files.items():
        outcomes = set()
        for length in range(0, len(data), 1 if len(data) < 300 else 5):
            (folder.path / name).write_bytes(data[:length])
            outcomes.add(check(folder, told, name))
            folder.restore()
        if name.startswith("wal-"):
            assert outcomes == {"refused"}
        cut |= {(name.split("-")[0], outcome) for outcome in outcomes}
    assert ("manifest", "whole") in cut
    assert (("segment", "refused") in cut) == tidied


@pytest.mark.parametrize("tidied", [False, True])
def test_a_file_that_is_gone_is_no_end(in_memory, tidied):
    told = make(in_memory / "log", tidied)
    folder = Folder(in_memory / "log")
    gone = set()
    for name in folder.files:
        (folder.path / name).unlink()
        outcome = check(folder, told, name)
        if name.startswith(("wal-", "synced")):
            assert outcome == "refused"
        gone.add((name.split("-")[0], outcome))
        folder.restore()
    assert ("manifest", "whole") in gone
    assert (("segment", "refused") in gone) == tidied
    for file in folder.path.iterdir():
        file.unlink()
    log = EmbeddedLog(folder.path)  # nothing is there to tell it from a new one
    assert log.topics() == {}
    log.close()


@pytest.mark.parametrize("tidied", [False, True])
def test_what_is_there_twice_or_in_part_counts_once_or_is_refused(in_memory, tidied):
    told = make(in_memory / "log", tidied)
    folder = Folder(in_memory / "log")
    chance = random.Random(1)
    for name, data in folder.files.items():
        starts = [at for at in range(len(data)) if data.startswith(form.MAGIC, at)]
        for _ in range(30):
            begin, end = sorted(chance.sample([*starts, len(data), chance.randrange(len(data))], 2))
            for changed in (
                data[:end] + data[begin:end] + data[end:],  # a part twice
                data + data[begin:end],
                data[:begin] + data[end:],  # a part missing
                data[:begin] + bytes(end - begin) + data[end:],
            ):
                (folder.path / name).write_bytes(changed)
                check(folder, told, name)
                folder.restore()


@pytest.mark.parametrize("tidied", [False, True])
def test_a_file_in_the_place_of_another_is_refused(in_memory, tidied):
    told = make(in_memory / "log", tidied)
    folder = Folder(in_memory / "log")
    for name, data in folder.files.items():
        for other in folder.files:
            if other != name:
                (folder.path / other).write_bytes(data)
                check(folder, told, other)
                folder.restore()
        number = name.rpartition("-")[2]
        if number.isdigit():  # one more of its kind
            for by in (-1, 1, 2):
                another = f"{int(number) + by:0{len(number)}}"
                (folder.path / f"{name.removesuffix(number)}{another}").write_bytes(data)
                assert check(folder, told, name) == "whole"
                folder.restore()
