"""What is compiled for records does what Python does, with random ones."""

import gc
import shutil
import tracemalloc
from pathlib import Path

import pytest
import record_worlds
from compiled_parts import COMPILER, SANITIZED, build, run, sanitizers

from plexstream.log.embedded.files import format as form
from plexstream.log.memory import local

PART = "plexstream.log.memory._records"
PROGRAM = Path(__file__).parent / "record_worlds.py"
SEEDS = 40
MUTANTS = {
    "times are offsets": ("put(at + 8, (uint64_t)time, 8)", "put(at + 8, (uint64_t)first, 8)"),
    "tombstones are empty": ("_SIZE(value) : UINT32_MAX", "_SIZE(value) : 0"),
    "empty values are tombstones": ("value < 0 ? Py_NewRef", "value < 1 ? Py_NewRef"),
    "all have one offset": ("(uint64_t)first + (uint64_t)i", "(uint64_t)first"),
    "records before are read": ("(int64_t)get(at, 8) >= offset", "1"),
    "there is no limit": ("&& PyList_GET_SIZE(found) < limit", ""),
    "four bytes at a time": ("length >= 4", "length > 4"),
    "one byte less": ("i < length; i++", "i + 1 < length; i++"),
    "signs stay": ("0x7FFFFFFF", "0xFFFFFFFF"),
    "topics are one": ("memset(lists, 0, sizeof lists)", "(void)0"),
    "partitions are as many as one likes": ("|| number < 0 || number >= partitions", ""),
}  # fmt: skip
"""Mistakes, and what of the source stands for what."""

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler {COMPILER!r}")


def compare(folder=None, **environment):
    """Run the program; what it says."""
    done = run(PROGRAM, 0, SEEDS, folder=folder, **environment)
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def test_it_is_what_python_does():
    assert compare() == "compiled"
    assert compare(PLEXSTREAM_COMPILED="0") == "python"


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_is_found(mutant, tmp_path):
    build(PART, tmp_path, "-w", change=MUTANTS[mutant])
    assert compare(tmp_path) != "compiled"


def test_it_does_so_under_sanitizers(tmp_path):
    build(PART, tmp_path, *SANITIZED)
    assert compare(tmp_path, **sanitizers()) == "compiled"


@pytest.mark.skipif(form.RECORDS is None, reason="it is about what is compiled")
def test_nothing_is_kept():
    items = [(b"key%d" % n, None if n % 3 == 0 else b"value") for n in range(50)]
    records = [("b", None if n % 2 else 1, *item) for n, item in enumerate(items)]
    wrong = [*records, ("missing", None, b"", b"")]
    sizes = []
    tracemalloc.start()
    try:
        for _ in range(4):
            for _ in range(200):
                data = form.encode_records(1 << 40, 1 << 41, items)
                form.decode_records(("t", 0), data)
                form.RECORDS.decode(form.Record, "t", 0, data[:-1], 0, 100)
                local.by_place(records, record_worlds.COUNTS.get)
                assert form.RECORDS.by_place(wrong, record_worlds.COUNTS) is None
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[-2] < 2000, sizes
