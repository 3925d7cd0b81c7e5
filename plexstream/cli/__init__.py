"""The command line. `main` is the console script; ``python -m plexstream`` is the same."""

from __future__ import annotations


def main() -> None:
    """Run the command line with the arguments of this process, and exit."""
    import gc

    # What is imported lives as long as the process: to look through it again and again is 7 % of a start.
    gc.set_threshold(100_000, 20, 100)
    from plexstream.cli.app import app

    app()
