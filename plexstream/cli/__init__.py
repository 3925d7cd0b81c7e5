"""The command line. `main` is the console script; ``python -m plexstream`` is the same."""

from __future__ import annotations


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    from plexstream.cli.app import app

    app()
