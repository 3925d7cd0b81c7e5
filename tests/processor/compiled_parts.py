"""Builds what is compiled for a test: with sanitizers, or with a mistake in it."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = {
    "plexstream.processor.plain._journal": "plexstream/processor/plain/_journal.c",
    "plexstream.processor.plain._mailbox": "plexstream/processor/plain/_mailbox.c",
    "plexstream.hosts.native._turn": "plexstream/hosts/native/_turn.c",
    "plexstream.hosts.native._plain": "plexstream/hosts/native/_plain.c",
    "plexstream.schema._compiled": "plexstream/schema/_compiled.c",
}
COMPILER = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
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


def run(program, *arguments, folder=None, **environment):
    """Run a program, with the parts that were built in `folder`."""
    built = ["-c", WITH_BUILT, str(folder)] if folder else []
    command = [sys.executable, *built, str(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PLEXSTREAM_COMPILED": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def build(name, folder, *flags, change=None):
    """Compile one part, perhaps with a change of its source: (old, new)."""
    source = ROOT / SOURCES[name]
    text = source.read_text()
    if change is not None:
        assert text.count(change[0]) == 1, f"{change[0]!r} stands {text.count(change[0])} times in {source}"
        text = text.replace(*change)
    changed = folder / source.name
    changed.write_text(re.sub(r'"[./]+model/slots\.h"', '"slots.h"', text))
    include = [f"-I{sysconfig.get_path('include')}", f"-I{ROOT / 'plexstream/model'}"]
    target = folder / f"{name}.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-g", *flags, *include, str(changed), "-o", str(target)]
    if sys.platform == "darwin":
        command += ["-undefined", "dynamic_lookup"]
    subprocess.run(command, check=True)


def build_mutant(folder, part, *change):
    """Compile the part whose name ends so, with a change of its source."""
    build(next(name for name in SOURCES if name.endswith(part)), folder, change=change)
