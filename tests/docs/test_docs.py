"""What the README and the documentation say is so: snippets run, names and links lead somewhere.

A comment before a fenced block says what to do with it; the blocks of a page share a folder, in order:

    <!-- file: NAME -->         write it to NAME
    <!-- run: embedded -->      run its `$ commands` in one shell; the lines after each are its output.
                                They are pasted: nothing waits but what the page says, and who reads from
                                standard input gets the commands that come next
    <!-- run: kafka -->         likewise, with a broker at localhost:9092
    <!-- test -->               run it with pytest; `test: kafka` with a broker, `test: slow` on its own

In expected output `…` stands for anything. Python without such a comment is compiled.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pytest

from plexstream import testing
from plexstream.edge.http.routes.metrics import CallMetrics
from plexstream.model.errors import CALL_ERRORS
from plexstream.model.topics.topics import COPARTITIONED, Topics
from plexstream.node.running.metrics import NodeMetrics
from plexstream.node.setup.config import _FILE_KEYS, Config

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
_BLOCK = re.compile(r"(?:<!-- ([a-z]+)(?:: ([\w./-]+))? -->\n)?^```(\w*)\n(.*?)^```$", re.M | re.S)


_NAMED = re.compile(r"`((?:tests|plexstream|examples)/[\w./-]*\w)(?:::(\w+))?`")


class Block(NamedTuple):
    page: Path
    what: str
    argument: str
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(page, *(group or "" for group in found)) for found in _BLOCK.findall(page.read_text())]


ALL = [block for page in PAGES for block in blocks(page)]


def pages_with(*what: str) -> list[Path]:
    return [p for p in PAGES if any((b.what, b.argument) == what for b in ALL if b.page == p)]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def write_files(page: Path, folder: Path) -> None:
    """The files that a page, or the README before it, asks its reader to write."""
    for block in ALL:
        if block.what == "file" and block.page in (page, ROOT / "README.md"):
            (folder / block.argument).write_text(block.text)


@pytest.fixture
def free_port() -> int:
    return testing.free_port()


# Snippets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_compiles_and_other_languages_parse(page):
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, name(page), "exec")
        elif block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", pages_with("run", "embedded"), ids=name)
def test_console_on_the_embedded_log(page, tmp_path, free_port):
    run_console(page, "embedded", tmp_path, free_port, {})


@pytest.mark.kafka
@pytest.mark.parametrize("page", pages_with("run", "kafka"), ids=name)
def test_console_on_kafka(page, tmp_path, free_port, kafka, topic_prefix):
    words = {"localhost:9092": kafka, "plex.": topic_prefix}
    run_console(page, "kafka", tmp_path, free_port, words, PLEXSTREAM_PREFIX=topic_prefix)


def run_console(
    page: Path, kind: str, folder: Path, port: int, words: dict[str, str], **variables: str
) -> None:  # fmt: skip
    """Run the `$` lines of a page's blocks of one kind in one shell, and compare what each prints."""
    write_files(page, folder)
    steps: list[tuple[str, list[str]]] = []
    for block in ALL:
        if (block.page, block.what, block.argument) == (page, "run", kind):
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    steps.append((line[2:], []))
                else:
                    steps[-1][1].append(line)
    words = {"localhost:8000": f"127.0.0.1:{port}", **words}
    script = ["set -m", "set +m"]  # the shell is not interactive: no job is announced
    for number, (command, _) in enumerate(steps):
        script.append(f"echo; echo STEP {number}")
        script.append(replace(command, words))
        if command.startswith("plexstream") and command.endswith("&"):
            script[-1] = script[-1].removesuffix("&") + ">> node.out 2>&1 &"
    script.append("echo; echo STEP end\n")
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "PLEXSTREAM_HTTP_PORT": str(port), "COLUMNS": "200",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **variables,
    }  # fmt: skip
    done = subprocess.run(
        ["bash"], input="\n".join(script), cwd=folder, env=environment, capture_output=True, text=True,
        timeout=100,
    )  # fmt: skip
    said = re.split(r"\nSTEP (?:\d+|end)\n", "\n" + done.stdout)[1:]
    log = (folder / "node.out").read_text() if (folder / "node.out").exists() else ""
    assert len(said) == len(steps) + 1, f"{done.stdout}\n{done.stderr}\n{log}"
    for (command, expected), output in zip(steps, said, strict=False):
        wanted = re.escape(replace("\n".join(expected), words)).replace("…", ".*")
        assert re.fullmatch(wanted, output.strip(), re.S), (
            f"$ {command}\n{output.strip()}\nbut the page says\n" + "\n".join(expected)
            + f"\nstandard error:\n{done.stderr}\nthe node:\n{log}"
        )  # fmt: skip


def replace(text: str, words: dict[str, str]) -> str:
    for old, new in words.items():
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize("argument", ["", "slow", pytest.param("kafka", marks=pytest.mark.kafka)])
def test_tests_shown_in_the_documentation(argument, tmp_path, request):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    if argument == "kafka":
        environment["KAFKA_BOOTSTRAP_SERVERS"] = request.getfixturevalue("kafka")
    found = [b for b in ALL if (b.what, b.argument) == ("test", argument)]
    assert found
    for number, block in enumerate(found):
        write_files(block.page, tmp_path)
        (tmp_path / f"test_{number}.py").write_text(block.text)
    (tmp_path / "conftest.py").write_text(
        "import pytest\nfrom plexstream import testing\n\n"
        "@pytest.fixture\ndef free_port():\n    return testing.free_port()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_console_block_is_run():
    assert [b.page for b in ALL if b.language == "console" and b.what != "run"] == []


# Names


def test_ids_exist():
    """Every test and file of the repository that a page names."""
    missing = []
    for page in PAGES:
        for path, function in _NAMED.findall(page.read_text()):
            file = ROOT / path
            if not file.exists() or (function and function not in functions(file)):
                missing.append(f"{name(page)}: {path}{'::' if function else ''}{function}")
    assert missing == []


def functions(file: Path) -> set[str]:
    found = ast.walk(ast.parse(file.read_text()))
    return {node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_promise_names_tests():
    text = (DOCS / "guarantees.md").read_text()
    sections = re.split(r"^## (?=\d)", text.split("## Further")[0], flags=re.M)[1:]
    assert [s[0] for s in sections] == list("12345")
    assert all("::test_" in section for section in sections)


def test_every_key_of_the_configuration_is_listed():
    text = (DOCS / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", text, re.M))
    assert list(Config.model_fields) == [key for key in rows if key in Config.model_fields]
    for table, keys in _FILE_KEYS.items():
        for key, flat in keys.items():
            assert rows[flat] == (f"`[{table}] {key}`" if table else f"`{key}`")


def test_defaults_are_those_of_the_code():
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*?) \|", (DOCS / "operations.md").read_text(), re.M)
    units = {"s": 1_000, "h": 3_600_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
    for key, said in rows:
        default = Config.model_fields[key].default if key in Config.model_fields else None
        if isinstance(default, bool):
            assert said == str(default).lower(), key
        elif isinstance(default, int):
            number, _, unit = said.partition(" ")
            assert int(number) * units.get(unit, 1) == default, key


def test_every_metric_is_listed():
    text = (DOCS / "operations.md").read_text()
    families = [*NodeMetrics(lambda: {"partitions": []}).collect(), *CallMetrics(_NoCalls()).collect()]  # type: ignore[arg-type]
    names = [f.name + ("_total" if f.type == "counter" else "") for f in families]
    assert [n for n in names if f"`{n}`" not in text] == []
    assert set(re.findall(r"`(plexstream_\w+)`", text)) == set(names)


class _NoCalls:
    in_flight = appender_failures = 0
    replies = SimpleNamespace(foreign=0, stale=0, malformed=0)


def test_every_error_of_a_call_is_listed():
    text = (DOCS / "http.md").read_text()
    for code, error in CALL_ERRORS.items():
        if code != "error":
            row = next(line for line in text.splitlines() if line.startswith("|") and f"`{code}`" in line)
            assert f"| {error.status} |" in row, code


def test_every_public_name_is_told_or_pointed_to():
    from plexstream import __all__ as names

    text = (DOCS / "sdk.md").read_text()
    reference = (DOCS / "reference/plexstream.md").read_text() + (DOCS / "reference/client.md").read_text()
    told = set(re.findall(r"\w+", text))
    assert [name for name in names if name not in told] == []
    errors = set(re.findall(r"^class (\w+)", (ROOT / "plexstream/model/errors.py").read_text(), re.M))
    assert [n for n in names if n not in errors and not re.search(rf"\b{n}\b", reference)] == []


def test_every_topic_and_every_schema_is_listed():
    schemas, operations = (DOCS / "schemas.md").read_text(), (DOCS / "operations.md").read_text()
    for topic in [*COPARTITIONED, "control", "out.<name>"]:
        assert f"| `{Topics().prefix}{topic}` |" in schemas
        assert f"| `{Topics().prefix}{topic}` |" in operations
    for path in (ROOT / "plexstream/schema/avsc").glob("*.avsc"):
        schema = json.loads(path.read_text())
        assert f"`{schema['name']}`" in schemas
        assert [f["name"] for f in schema["fields"] if f"`{f['name']}`" not in schemas] == [] or (
            schema["name"] == "Partition"  # told in words
        )


def test_commands_that_are_named_exist():
    from typer.main import get_command

    from plexstream.cli.app import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    for page in PAGES:
        for words in re.findall(r"`(?:\$ )?plexstream ([a-z][^`\n]*)`", page.read_text()):
            first, *rest = shlex.split(words.replace("…", "x"))
            assert first in commands, f"{name(page)}: plexstream {words}"
            if hasattr(commands[first], "list_commands") and rest:
                there = commands[first].list_commands(None)
                assert rest[0] in there, f"{name(page)}: plexstream {words}"


# Links


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", t.lower()).strip()) for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.S)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)}: {target}"
        if anchor:
            assert anchor in anchors(file), f"{name(page)}: {target}"


def test_every_file_that_the_architecture_names_is_there():
    files = {str(path.relative_to(ROOT / "plexstream")) for path in (ROOT / "plexstream").rglob("*.py")}
    named = set(re.findall(r"`((?:\w+/)*\w+\.py)`", (DOCS / "architecture.md").read_text()))
    assert len(named) > 30
    # `waiting/machine.py` is told in full where its folder is told first.
    assert [n for n in sorted(named) if not any(f"/{file}".endswith(f"/{n}") for file in files)] == []


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w./-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    assert listed == {str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS)}


@pytest.mark.slow
def test_the_site_builds(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
