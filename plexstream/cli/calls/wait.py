"""``wait``: until a node is ready, so that a script may call it."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from plexstream.cli.calls.calls import Url, served_at
from plexstream.cli.common import options

_PAUSE_S = 0.1


def wait(
    url: Url = None,
    timeout: Annotated[
        float,
        typer.Option("--timeout", metavar="SECONDS", min=0, max=86400, help="How long to wait (default 60)."),
    ] = 60.0,
    config: options.ConfigFile = None,
) -> None:
    """Wait until a node is ready for calls, such as one that was started in the background a moment ago.

    Exit code 3 if it is not by then, with the reason that it gives.

    [bold]Example[/]

      plexstream dev bank.py & plexstream wait && plexstream call account/alice deposit amount=5
    """
    from plexstream.cli.calls.running import not_ready
    from plexstream.model.errors import LogUnavailable
    from plexstream.node.setup.config import load_config

    goal = url or served_at(load_config(config))
    end = time.monotonic() + timeout
    while why := not_ready(goal):
        if time.monotonic() >= end:
            raise LogUnavailable(
                f"no node is ready at {goal} after {timeout:g} s: {why}; look at what the node says, or name "
                "another with --url"
            )
        time.sleep(_PAUSE_S)
