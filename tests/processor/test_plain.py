"""What is compiled does what Python does, in random programs that are rich in plain turns."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).parent / "plain_worlds.py"
SEEDS = 60
SHARE = 0.2
"""Of the messages that must have been plain turns, or the programs test less than they say."""
SOURCES = {
    "plexstream.processor.plain._journal": "plexstream/processor/plain/_journal.c",
    "plexstream.processor.plain._mailbox": "plexstream/processor/plain/_mailbox.c",
    "plexstream.hosts.native._turn": "plexstream/hosts/native/_turn.c",
    "plexstream.hosts.native._plain": "plexstream/hosts/native/_plain.c",
    "plexstream.schema._compiled": "plexstream/schema/_compiled.c",
}
COMPILER = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler {COMPILER!r}")


WITH_BUILT = """
import importlib.util, runpy, sys
from pathlib import Path
for path in Path(sys.argv.pop(1)).glob("*.so"):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])
sys.argv[0] = sys.argv.pop(1)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program with the parts that were built in a folder."""


def lines(first, end, folder=None, **environment):
    """What the program says of these seeds."""
    built = ["-c", WITH_BUILT, str(folder)] if folder else []
    command = [sys.executable, *built, str(PROGRAM), str(first), str(end)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", **environment}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout.splitlines()


def in_python(end=SEEDS):
    return lines(0, end, PLEXSTREAM_COMPILED="0")


def build(name, folder, *flags, change=None):
    """Compile one part, perhaps with a change of its source: (old, new)."""
    source = ROOT / SOURCES[name]
    text = source.read_text()
    if change is not None:
        assert text.count(change[0]) == 1, f"{change[0]!r} stands {text.count(change[0])} times in {source}"
        text = text.replace(*change)
    changed = folder / source.name
    changed.write_text(text.replace('"../../model/slots.h"', '"slots.h"'))
    include = [f"-I{sysconfig.get_path('include')}", f"-I{ROOT / 'plexstream/model'}"]
    target = folder / f"{name}.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-g", *flags, *include, str(changed), "-o", str(target)]
    if sys.platform == "darwin":
        command += ["-undefined", "dynamic_lookup"]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def expected():
    return in_python()


def share(said):
    """The share of messages that were plain turns, by the last line."""
    _, plain, _, messages = said[-1].split()
    return int(plain) / int(messages)


def test_it_is_what_python_does(expected):
    said = lines(0, SEEDS)
    assert said[:-1] == expected[:-1]
    assert share(said) > SHARE
    assert share(expected) == 0


MUTANTS = {
    "repetitions are taken": ("_mailbox", "return m->origin_seq > seq ||", "return 1 ||"),
    "numbers of origins are not noted": ("_mailbox", "if (m->from_origin) {", "if (0) {"),
    "the position stays": ("_mailbox", "FromLongLong(m->offset + 1)", "FromLongLong(m->offset)"),
    "states that expire do not": ("_mailbox", "&ttl) || ttl != 0)", "&ttl))"),
    "turns are not counted": ("_mailbox", "turns += went == 1;", ""),
    "failures are plain": ("_mailbox", "RESULT) || !is_empty(FIELD(result, CODE))", "RESULT)"),
    "timers are plain": ("_mailbox", "|| !(kind == EMIT ||", "|| !(1 ||"),
    "entries are plain": ("_mailbox", "3) || PyTuple_GET_ITEM(change, 1) != Py_None)", "3))"),
    "causes stay open": ("_journal", "if (!failed && cause >= state->low)", "if (0)"),
    "cores are not noted": ("_journal", "slot(core, self->noted) != Py_True", "0"),
    "outputs are not owed": ("_journal", "went > 0 && emit &&", "0 &&"),
    "what is owed is done": ("_journal", "if (way->last < way->done)", "if (0)"),
    "records of zombies count": ("_journal", "&& its_claim == claim", ""),
    "repetitions count": ("_journal", "&& its_ordinal == ordinal && ordinal > 0", ""),
    "outputs of a reign before are lost": ("_journal", "if (went > 0 && (mail || emit)) {", "if (0) {"),
    "failed turns change state": ("_journal", "|| status != 0 ||", "||"),
    "sizes are not summed": ("_turn", "total += PyBytes_GET_SIZE(f->data) - ", "total += 0 * "),
    "too much is taken": ("_turn", "(size > 0 && size + total > most)", "0"),
    "states of other code are of this": ("_turn", "if (foreign)\n            return -2;", ""),
    "changes inside are not seen": ("_turn", "value == before && is_immutable(value)", "value == before"),
    "coroutines are forgotten": ("_turn", "PyList_GET_SIZE(forgotten) == 0", "1"),
    "outputs cost nothing": ("_turn", "room - PyBytes_GET_SIZE(data) - OUT_BYTES)", "room)"),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_found(mutant, tmp_path, expected):
    part, *change = MUTANTS[mutant]
    name = next(name for name in SOURCES if name.endswith(part))
    build(name, tmp_path, change=change)
    for first in range(0, SEEDS, 15):
        try:
            said = lines(first, first + 15, tmp_path)
        except AssertionError:
            return  # it did not even end well
        if said[:-1] != expected[first : first + 15]:
            return
    pytest.fail(f"{mutant}: the same in {SEEDS} programs")


SANITIZERS = "-fsanitize=address,undefined"


def test_it_does_so_under_sanitizers(tmp_path, expected):
    # What they find ends the process. Leaks are those of the interpreter, which frees not all at its end.
    for name in SOURCES:
        build(name, tmp_path, SANITIZERS, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
    library = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert Path(library).is_absolute(), "the compiler comes without AddressSanitizer"
    said = lines(
        0, 20, tmp_path, LD_PRELOAD=library, PYTHONMALLOC="malloc", ASAN_OPTIONS="detect_leaks=0",
        UBSAN_OPTIONS="print_stacktrace=1",
    )  # fmt: skip
    assert said[:-1] == expected[:20]
    assert share(said) > SHARE
