"""What librdkafka tells late finds memory that is still there."""

import shutil
from pathlib import Path

import pytest
from compiled_parts import COMPILER, SANITIZED, build, run, sanitizers

PART = "plexstream.log.kafka.appending._produce"


@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler {COMPILER!r}")
def test_a_producer_whose_watch_is_gone_may_still_tell(tmp_path):
    """As after a failed commit: its traceback is a circle, which the collector takes in any order."""
    build(PART, tmp_path, *SANITIZED)
    program = Path(__file__).parent / "late_fates.py"
    done = run(program, tmp_path / f"{PART}.so", **sanitizers())
    assert (done.stdout, done.returncode) == ("ended\n", 0), done.stderr[-2000:]
