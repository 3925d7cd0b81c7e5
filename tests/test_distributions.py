"""What is published has what the package is built from, and reads it."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import plexstream

ROOT = Path(plexstream.__file__).parents[1]
NEEDED = [
    "plexstream", "schemas", "topics", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE",
    "CHANGELOG.md",
]  # fmt: skip
DATA = {
    "plexstream/model/topics/declared/system.yaml", "plexstream/schema/avsc/turn.avsc",
    "plexstream/schema/avsc/mark.1.avsc",
}  # fmt: skip
BUILD = """
import sys
from setuptools import build_meta

out = sys.argv[1]
build_meta.build_sdist(out)
build_meta.build_wheel(out)
"""


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="of the repository")
def test_sdist_and_wheel_have_schemas_and_topics(tmp_path):
    source, out = tmp_path / "source", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for name in NEEDED:
        path = ROOT / name
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(path, source / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(path, source / name)
    done = subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    with tarfile.open(sdist) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
        assert packed >= {*DATA, "topics/system.yaml", "schemas/avro/turn.avsc"}
    with zipfile.ZipFile(wheel) as zip:
        assert set(zip.namelist()) >= DATA
        zip.extractall(tmp_path / "installed")
    code = "from plexstream.model.topics.topics import KEEPING; print(KEEPING['journal']['retention.ms'])"
    there = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "installed", capture_output=True, text=True, check=True
    )
    assert there.stdout == "-1\n"
