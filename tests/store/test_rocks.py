"""What only the store on disk can meet."""

import subprocess
import sys

import pytest

from plexstream.model.errors import StoreInUse
from plexstream.store.rocks import open_or_rebuild


def test_a_store_that_another_process_has_open_is_left_alone(tmp_path):
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, pathlib; from plexstream.store.rocks import RocksStore;"
            "s = RocksStore(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        files = {f.name for f in tmp_path.iterdir()}
        with pytest.raises(StoreInUse, match="another process"):
            open_or_rebuild(tmp_path)
        assert {f.name for f in tmp_path.iterdir()} >= files
    finally:
        holder.communicate("", timeout=10)
    store, why = open_or_rebuild(tmp_path)
    assert why == ""
    store.close()
