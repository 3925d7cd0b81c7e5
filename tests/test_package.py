"""What `plexstream` exports, and what importing it costs."""

import ast
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

import plexstream
from plexstream import testing

EXPORTED = {
    "AlreadyDone", "AlreadyStarted", "AsyncClient", "CallError", "Cancelled", "Child", "Client",
    "Deadlock", "DeclarationError", "DeclarationWarning", "EventLog",
    "EventSourced", "Failed", "FoldError", "Ignore", "Ignored", "Killed", "Reject", "Rejected",
    "Reminder", "Retry",
    "SagaFailed", "Snapshots", "StateList", "StateMap", "StepFailed", "Stopped", "Supervisor",
    "TerminalError",
    "TimedOut", "TransitionError", "actor", "cron", "event", "event_actor", "event_timeout", "fsm",
    "fsm_actor",
    "gen_server_actor", "handler", "host", "init_handler", "match", "migrate", "on_activate", "on_crash",
    "on_deactivate", "predicate",
    "query_handler", "run_handler", "service", "signal_handler", "state", "state_list", "state_map",
    "state_enter", "state_timeout", "subscribe", "workflow", "workflow_actor",
}  # fmt: skip


def test_exported_names():
    # Whoever removes a name breaks programs: change this list only on purpose.
    assert set(plexstream.__all__) == EXPORTED
    assert list(plexstream.__all__) == sorted(plexstream.__all__)
    assert set(dir(plexstream)) >= EXPORTED
    for name in plexstream.__all__:
        assert getattr(plexstream, name) is not None


def test_exported_names_for_tests():
    assert testing.__all__ == ["Cut", "LocalBroker", "LocalCluster", "TurnApi", "current", "free_port"]
    assert all(getattr(testing, name) is not None for name in testing.__all__)


@pytest.mark.parametrize("module", [plexstream, testing])
def test_an_unknown_name_is_an_attribute_error(module):
    assert not hasattr(module, "no_such_name")


def test_version_comes_from_one_place():
    assert metadata.version("plexstream").startswith("0.1.0")
    assert plexstream.__version__ == "0.1.0"


def test_importing_it_loads_nothing_but_the_sdk():
    code = (
        "import sys, plexstream; print([m for m in sys.modules "
        "if m.startswith('plexstream.') and not m.startswith('plexstream.sdk') or "
        "m.split('.')[0] in ('msgspec', 'confluent_kafka', 'rocksdict', 'httptools', 'fastavro')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_helpers_that_tests_import_have_names_of_their_own():
    # All folders are on one path: of two of a name whoever comes second gets the other's.
    files = list(Path(__file__).parent.rglob("*.py"))
    named = Counter(path.stem for path in files if path.stem not in ("conftest", "__init__"))
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert [name for name, count in named.items() if count > 1 and name in imported] == []


LONGEST = 300


def test_no_class_does_too_much_to_be_read_at_once():
    found: dict[str, int] = {}
    for path in Path(plexstream.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name] = max(found.get(node.name, 0), node.end_lineno - node.lineno + 1)
    longer = {name: lines for name, lines in found.items() if lines >= LONGEST}
    assert not longer, f"take these apart, each part with a purpose of its own: {longer}"


ROOMS = 7


def test_no_floor_has_more_than_seven_rooms():
    """But that of the packages, which the design has in its chapter 8."""
    package = Path(plexstream.__file__).parent
    crowded = {}
    for floor in (path for path in package.rglob("*") if path.is_dir() and path.name != "__pycache__"):
        code = [path for path in floor.iterdir() if path.suffix in (".py", ".c", ".h") or path.is_dir()]
        rooms = {path.stem for path in code if not path.stem.startswith("__")}
        if len(rooms) > ROOMS:
            crowded[str(floor.relative_to(package))] = sorted(rooms)
    assert crowded == {}


def test_every_room_says_in_its_first_line_what_is_in_it():
    package = Path(plexstream.__file__).parent
    files = list(package.rglob("*.py"))
    silent = [str(f.relative_to(package)) for f in files if not ast.get_docstring(ast.parse(f.read_text()))]
    assert silent == []
