"""The manifest: which tree of supervisors a node starts.

    name = "shop"                    # the root is supervisor/shop; default: app

    [supervisor]
    strategy = "one_for_one"
    max_restarts = 3
    max_restart_window_seconds = 5

    [[supervisor.children]]
    id = "till"
    type = "till"
    restart = "permanent"
    args = { currency = "EUR" }

    [[supervisor.children]]
    id = "pool"

    [supervisor.children.supervisor]
    strategy = "one_for_all"
"""

from __future__ import annotations

import json
import logging
import threading
import tomllib
from collections.abc import Collection
from concurrent.futures import CancelledError
from pathlib import Path
from typing import NamedTuple

from plexstream.edge.calls.calls import Calls
from plexstream.model.errors import CallError, ConfigError, PlexstreamError
from plexstream.model.process.threads import Lasting
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.host.supervision import TYPE, Supervisor, parse_supervisor

_log = logging.getLogger("plexstream.node")

_KEYS = ("name", "supervisor")
_AGAIN_S = 2.0


class Manifest(NamedTuple):
    """A tree, and the id of its root."""

    name: str
    supervisor: Supervisor

    @property
    def address(self) -> str:
        """The root's."""
        return f"{TYPE}/{self.name}"


def load_manifest(path: Path, types: Collection[str]) -> Manifest:
    """Read a manifest.

    Parameters:
        types: the actor types that are deployed.

    Raises:
        ConfigError: the file cannot be read, a key is unknown or wrong, a child's type is not deployed.
    """
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; --app names the manifest, a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    for key in table:
        if key not in _KEYS:
            raise ConfigError(f"{path}: {key} is no key of a manifest: known are {', '.join(_KEYS)}")
    if "supervisor" not in table:
        raise ConfigError(f"{path}: there is no table [supervisor]")
    name = table.get("name", "app")
    if not isinstance(name, str) or not name or "/" in name:
        raise ConfigError(f"{path}: name = {name!r}: give text without '/'")
    try:
        supervisor = parse_supervisor(table["supervisor"])
    except DeclarationError as error:
        raise ConfigError(f"{path}: {error}") from None
    _check_types(path, supervisor, types)
    return Manifest(name, supervisor)


def _check_types(path: Path, supervisor: Supervisor, types: Collection[str]) -> None:
    for child in supervisor.children:
        if child.supervisor is not None:
            _check_types(path, child.supervisor, types)
        elif child.type not in types:
            known = ", ".join(sorted(types)) or "none"
            raise ConfigError(f"{path}: child {child.id!r}: no actor type {child.type!r}; known are {known}")


class Deployment:
    """Tells the root of a tree what its manifest says, once it can be reached.

    It is an ordinary call: the same manifest again, from another node or after a restart, changes nothing.
    """

    def __init__(self, calls: Calls, manifest: Manifest) -> None:
        self._calls = calls
        self._manifest = manifest
        self._halt = threading.Event()
        self.thread = Lasting("deployment", self._run, self._halt.is_set)

    def start(self) -> None:
        """Begin."""
        self.thread.start()

    def _run(self) -> None:
        self._deploy()
        self._halt.set()

    def _deploy(self) -> None:
        spec = self._manifest.supervisor.table()
        handler, arguments = "configure", {"spec": spec}
        while not self._halt.is_set():
            try:
                self._calls.ask(self._manifest.address, handler, json.dumps(arguments).encode()).result()
                return
            except CancelledError:
                return
            except CallError as error:
                if error.code == "stopped":  # its own message killed its process, or it was stopped by hand
                    handler, arguments = "$start", {"args": spec}
                    continue
                _log.error("%s takes no manifest: %s: %s", self._manifest.address, error.code, error)
                if error.code not in ("timed_out", "overloaded"):
                    return
            except PlexstreamError as error:
                if self._halt.is_set():
                    return
                _log.warning("%s cannot be reached: %s", self._manifest.address, error)
            self._halt.wait(_AGAIN_S)

    def stop(self) -> None:
        """Do not try again."""
        self._halt.set()
