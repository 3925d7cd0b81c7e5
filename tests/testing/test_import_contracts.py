"""A package that no contract names may import anything: there must be none by accident."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FREE = {"plexstream.cli", "plexstream.testing"}


def test_every_package_is_under_a_contract():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = {
        module
        for contract in config["tool"]["importlinter"]["contracts"]
        for module in contract.get("source_modules", [])
    }
    there = {f"plexstream.{path.parent.name}" for path in (ROOT / "plexstream").glob("*/__init__.py")}
    assert there - named - FREE == set()
