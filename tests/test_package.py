"""What `plexstream` exports, and what importing it costs."""

import ast
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import plexstream

EXPORTED = {
    "AlreadyDone", "AlreadyStarted", "AsyncClient", "CallError", "Cancelled", "Child", "Client",
    "Deadlock", "DeclarationError", "DeclarationWarning", "EventLog",
    "EventSourced", "Failed", "FoldError", "Ignore", "Ignored", "Killed", "Reject", "Rejected",
    "Reminder", "Retry",
    "SagaFailed", "Snapshots", "StateList", "StateMap", "StepFailed", "Stopped", "Supervisor",
    "TerminalError",
    "TimedOut", "TransitionError", "actor", "cron", "event", "event_actor", "event_timeout", "fsm",
    "fsm_actor",
    "gen_server_actor", "handler", "host", "init_handler", "migrate", "on_activate", "on_crash",
    "on_deactivate",
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


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(plexstream, "no_such_name")


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
STILL_LONGER: dict[str, int] = {}
"""Lines of classes that have yet to be taken apart. No number here may grow, and none may be added."""


def test_no_class_does_too_much_to_be_read_at_once():
    found: dict[str, int] = {}
    for path in Path(plexstream.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name] = max(found.get(node.name, 0), node.end_lineno - node.lineno + 1)
    longer = {name: lines for name, lines in found.items() if lines >= LONGEST}
    grown = {name: lines for name, lines in longer.items() if lines > STILL_LONGER.get(name, 0)}
    assert not grown, f"take these apart, each part with a purpose of its own: {grown}"
    done = STILL_LONGER.keys() - longer.keys()
    assert not done, f"these are short now, and need no exception any more: {done}"
