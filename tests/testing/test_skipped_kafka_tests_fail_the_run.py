"""The guard in tests/conftest.py, run by a pytest of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"


@pytest.fixture(params=[0, 2], ids=["in one process", "in two"])
def processes(request):
    return request.param


def run(folder, text, processes):
    (folder / "conftest.py").write_text(CONFTEST.read_text())
    (folder / "test_it.py").write_text(f"import pytest\n{text}\n")
    (folder / "test_other.py").write_text("def test_y(): pass\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    command += ["--numprocesses", str(processes)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.kafka\n@pytest.mark.skip\ndef test_x(): pass",
        "@pytest.mark.kafka\ndef test_x(): pytest.skip()",
        "pytest.skip(allow_module_level=True)\n@pytest.mark.kafka\ndef test_x(): pass",
    ],
    ids=["marked", "called", "module"],
)
def test_a_skipped_kafka_test_fails_the_run(tmp_path, text, processes):
    status, output = run(tmp_path, text, processes)
    assert (status, "FAILED RUN" in output) == (1, True)


@pytest.mark.parametrize(
    "text",
    [
        "@pytest.mark.skip\ndef test_x(): pass",
        "@pytest.mark.kafka\n@pytest.mark.xfail\ndef test_x(): assert 0",
    ],
    ids=["without Kafka", "expected to fail"],
)
def test_other_skips_do_not(tmp_path, text, processes):
    status, output = run(tmp_path, text, processes)
    assert (status, "FAILED RUN" in output) == (0, False)


def test_what_is_no_text_does_not_end_the_run(tmp_path, processes):
    """A test logs half of a surrogate pair, and fails: that is told, and the others run."""
    text = "def test_x():\n    print(chr(0xD800))\n    assert chr(0xD800) == 'a'"
    status, output = run(tmp_path, text, processes)
    assert (status, "1 failed, 1 passed" in output) == (1, True)
