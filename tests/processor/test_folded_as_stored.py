"""What is folded compiled, from the bytes on the log, is what Python makes of them, be they what they may."""

import shutil
from functools import partial
from pathlib import Path

import compiled_parts
import pytest
from folded_journals import compare, compare_bytes

from plexstream.processor.plain import COMPILED

PROGRAM = Path(__file__).with_name("folded_journals.py")
here = pytest.mark.skipif(not COMPILED, reason="nothing is compiled here")
MUTANTS = {
    "text that is none": ("return text != NULL;", "return 1;"),
    "what comes behind the end": ("&& in.at == in.end", ""),
    "failed turns": ("if (!byte_is(&in, 0) || !byte_is", "if (!pass_long(&in) || !byte_is"),
    "timers": ("kind > EMIT ||", "kind > 100 ||"),
    "entries of collections": ("&& byte_is(in, ABSENT) && byte_is", "&& in->at++ != in->end && byte_is"),
    "fields of another name": ("known_size == size && memcmp(text, data, (size_t)size) == 0", "1"),
}
"""Mistakes in the compiled part: what it would fold."""


@here
def test_what_is_folded_compiled_is_what_python_makes_of_it():
    assert compare(range(300)) > 2_000  # else nothing was compared


@here
def test_each_byte_of_a_turn_is_looked_at():
    """Whichever byte of a plain turn is another, the outcome is that of Python."""
    assert compare_bytes() > 500


@pytest.fixture
def build(tmp_path):
    """Compiles the part anew, with flags or a change of its source."""
    if shutil.which(compiled_parts.COMPILER) is None:
        pytest.skip(f"no C compiler {compiled_parts.COMPILER!r}")
    return partial(compiled_parts.build, "plexstream.processor.plain._restore", tmp_path)


@here
def test_nothing_is_read_beyond_a_records_end(build, tmp_path):
    build(*compiled_parts.SANITIZED)
    done = compiled_parts.run(PROGRAM, folder=tmp_path, **compiled_parts.sanitizers())
    assert done.returncode == 0, done.stderr[-5000:]


@here
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_it_is_found(mutant, build, tmp_path):
    build(change=MUTANTS[mutant])
    assert compiled_parts.run(PROGRAM, folder=tmp_path).returncode != 0
