"""Every interleaving of the protocol in small: it holds, and without any one of its rules it does not."""

import subprocess
import sys

import pytest

from plexstream.testing.protocol.explore import explore
from plexstream.testing.protocol.models import MODELS


@pytest.mark.parametrize("name", MODELS)
def test_the_protocol_holds(name):
    make, _ = MODELS[name]
    found = explore(make(""))
    assert not found.wrong, "\n".join([found.wrong, *found.steps])
    assert found.worlds > 10_000


@pytest.mark.parametrize(("name", "rule"), [(name, rule) for name in MODELS for rule in MODELS[name][1]])
def test_every_rule_holds_something_up(name, rule):
    make, _ = MODELS[name]
    found = explore(make(rule))
    assert found.wrong, f"{name} holds without the rule: {MODELS[name][1][rule]}"
    assert found.steps


def test_the_command_says_what_goes_wrong():
    arguments = [sys.executable, "-m", "plexstream.testing.protocol", "outputs", "--without", "position"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "WRONG: outputs (1, 1) are committed" in done.stdout
