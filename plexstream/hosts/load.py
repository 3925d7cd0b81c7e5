"""Actor types out of a Python file."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import sys
import traceback
import warnings
from pathlib import Path
from types import ModuleType

from plexstream.hosts.native.declarations.twice import declared_twice
from plexstream.hosts.native.declarations.written import told
from plexstream.hosts.native.host import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.model.errors import ConfigError
from plexstream.sdk.errors import DeclarationError, DeclarationWarning
from plexstream.sdk.spec import ActorType

_log = logging.getLogger("plexstream.actor")

RESERVED = "plex."
"""What the names of the system's types begin with."""


class Loaded:
    """The actor types of a file, and the version of its code.

    Attributes:
        types: by name.
        version: the first 12 hex digits of the file's SHA-256.
    """

    def __init__(self, types: dict[str, ActorType], version: str) -> None:
        self.types = types
        self.version = version


def load_actors(path: str | Path, *, strict: bool = False) -> Loaded:
    """Import a file and collect its actor classes.

    The file's folder is importable while it loads and afterwards, as for a script.

    Parameters:
        strict: whether a declaration that is most often a mistake is refused; else Python warns of it.

    Raises:
        ConfigError: there is no such file, importing it raises, it declares no actor, or one wrongly.
    """
    file = Path(path).resolve()
    if file.is_dir():
        raise ConfigError(f"{path}: a folder; give a Python file that declares actors")
    if not file.is_file():
        raise ConfigError(f"{path}: no such file; give a Python file that declares actors")
    name = f"plexstream_app_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    try:
        with warnings.catch_warnings():
            if strict:
                warnings.simplefilter("error", DeclarationWarning)
            spec.loader.exec_module(module)
    except (DeclarationError, DeclarationWarning) as error:
        raise ConfigError(f"{path}{_line(error, file)}: {error}") from error
    except SystemExit as error:
        raise ConfigError(
            f"{path}{_line(error, file)}: importing it ended the process, as sys.exit() does: put what "
            "a script does under if __name__ == '__main__'"
        ) from error
    except Exception as error:
        what = f"importing it raised {told(error)}"
        raise ConfigError(f"{path}{_line(error, file)}: {what}") from error
    types = actor_types(module)
    if not types:
        raise ConfigError(f"{path}: declares no actor; decorate a class with @actor, outside any function")
    for line, what in declared_twice(file.read_bytes()):
        if strict:
            raise ConfigError(f"{path}:{line}: {what}")
        warnings.warn_explicit(what, DeclarationWarning, str(file), line)
    for declared in types.values():
        if not declared.handlers:
            what = f"{declared.cls.__name__} has no handler: nobody can call it; mark a method with @handler"
            if strict:
                raise ConfigError(f"{path}: {what}")
            _log.warning("%s: %s", path, what)
    try:
        NativeHost(types)  # checks what the decorators alone cannot: type hints, cron expressions
    except DeclarationError as error:
        raise ConfigError(f"{path}: {error}") from error
    return Loaded(types, hashlib.sha256(file.read_bytes()).hexdigest()[:12])


def _line(error: BaseException, file: Path) -> str:
    """Where in the file it happened, as `:7`; empty where the file was not reached."""
    lines = [at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == str(file)]
    return f":{lines[-1]}" if lines else ""


def actor_types(module: ModuleType) -> dict[str, ActorType]:
    """The actor types that a module declares or imports.

    Raises:
        ConfigError: two classes claim the same name.
    """
    types: dict[str, ActorType] = {}
    for value in vars(module).values():
        spec = vars(value).get("__plexstream__") if isinstance(value, type) else None
        if spec is None:
            continue
        if spec.name in SYSTEM_TYPES or spec.name.startswith(RESERVED):
            raise ConfigError(
                f"actor type {spec.name!r}: that name, and all with {RESERVED}, are for types that come with "
                f"plexstream: give {spec.cls.__name__} another, @actor(name=…)"
            )
        other = types.setdefault(spec.name, spec)
        if other is not spec:
            raise ConfigError(
                f"actor type {spec.name!r} is declared by {other.cls.__name__} and by {spec.cls.__name__}: "
                "give one of them another name, @actor(name=…)"
            )
    return types
