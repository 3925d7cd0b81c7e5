"""Starting, stopping and watching actors, and how a supervisor is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, get_args

from plexstream.sdk.errors import DeclarationError

Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]
Directive = Literal["restart", "resume", "stop", "escalate"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]
INFINITY = "infinity"
"""In the place of seconds: as long as it takes."""
LEAST_WINDOW = 0.001
"""Seconds: within a window of 0 no number of restarts would be too many."""
_DEFAULTS = "default/default/"
"""Tenant and namespace: an address in its short form is without them."""
TYPE = "supervisor"
"""The actor type of supervisors."""


@dataclass(frozen=True, slots=True)
class Child:
    """One child of a supervisor: the actor ``type/id``, or a supervisor below it.

    Parameters:
        id: unique within its supervisor.
        type: an actor type. Left out for a supervisor.
        args: for its init handler, at each start; without one they fill the state fields of those names.
        restart: permanent: whenever it ends; transient: after failures alone; temporary: never.
        on_failure: what a failure leads to: restart with fresh state; resume with the state before the
            message that failed; stop for good; escalate: the supervisor itself gives up.
        shutdown_timeout_seconds: how long it may take to stop, before it is killed; 0: it is killed without
            being asked; ``"infinity"``: as long as it takes.
        significant: its end may be its supervisor's, as that one's `auto_shutdown` says; not with permanent.
        supervisor: makes the child a supervisor, at the address ``supervisor/<parent's id>.<id>``.
    """

    id: str
    type: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    restart: Restart = "permanent"
    on_failure: Directive = "restart"
    shutdown_timeout_seconds: float | Literal["infinity"] = 5.0
    significant: bool = False
    supervisor: Supervisor | None = None

    def __post_init__(self) -> None:
        _check(_plain(self.id), "id", self.id, "text without '/'")
        if self.supervisor is not None and self.type == "":
            object.__setattr__(self, "type", TYPE)
        _check(_plain(self.type), "type", self.type, "the name of an actor type")
        if (self.type == TYPE) != (self.supervisor is not None):
            raise DeclarationError(
                f"child {self.id!r}: a child of type {TYPE!r} has a table `supervisor`, and no other has one"
            )
        _check(isinstance(self.args, dict), "args", self.args, "a table")
        _one_of("restart", self.restart, Restart)
        _one_of("on_failure", self.on_failure, Directive)
        if self.shutdown_timeout_seconds != INFINITY:
            _number("shutdown_timeout_seconds", self.shutdown_timeout_seconds, 0, f"{INFINITY!r} or ")
        _check(type(self.significant) is bool, "significant", self.significant, "true or false")
        if self.significant and self.restart == "permanent":
            raise DeclarationError(
                f"child {self.id!r} is significant and permanent: it never ends by itself; write restart = "
                "'transient' or 'temporary'"
            )
        if self.supervisor is not None and self.args:
            raise DeclarationError(f"child {self.id!r}: a supervisor takes no args")


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Which children a supervisor starts, and what it does when one of them ends.

    Parameters:
        children: started in this order, stopped in the reverse one.
        strategy: whom a restart concerns: the child alone; all children; the child and those after it.
        max_restarts: so many restarts are allowed within the window; with one more the supervisor gives up.
        max_restart_window_seconds: the window.
        auto_shutdown: whether the supervisor ends, with the reason shutdown, when a significant child has
            ended by itself (any_significant), or the last of them that ran (all_significant).
    """

    children: list[Child] = field(default_factory=list)
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    max_restart_window_seconds: float = 5.0
    auto_shutdown: AutoShutdown = "never"

    def __post_init__(self) -> None:
        _one_of("strategy", self.strategy, Strategy)
        _check(type(self.max_restarts) is int and 0 <= self.max_restarts <= 1_000_000_000, "max_restarts",
               self.max_restarts, "a whole number from 0 to 1,000,000,000")  # fmt: skip
        _number("max_restart_window_seconds", self.max_restart_window_seconds, LEAST_WINDOW)
        _one_of("auto_shutdown", self.auto_shutdown, AutoShutdown)
        listed = isinstance(self.children, list | tuple)
        _check(listed and all(isinstance(c, Child) for c in self.children), "children", self.children,
               "a list of Child(…)")  # fmt: skip
        seen: set[str] = set()
        for child in self.children:
            if child.id in seen:
                raise DeclarationError(f"two children have the id {child.id!r}")
            seen.add(child.id)
            check_significant(child, self.auto_shutdown)

    def table(self) -> dict[str, Any]:
        """The same as plain data, which `parse_supervisor` reads."""
        return asdict(self)


def check_significant(child: Child, auto_shutdown: str) -> None:
    """Raises DeclarationError where a child is significant to a supervisor that does not care."""
    if child.significant and auto_shutdown == "never":
        raise DeclarationError(
            f"child {child.id!r} is significant, but the supervisor's auto_shutdown is 'never': write "
            "'any_significant' or 'all_significant'"
        )


def parse_supervisor(table: object, where: str = "supervisor") -> Supervisor:
    """Read a supervisor's declaration from plain data, such as a table of a TOML file.

    Raises:
        DeclarationError: a key is unknown or missing, or a value is wrong; the message names it.
    """
    named = _keys(table, Supervisor, where)
    children = named.pop("children", [])
    if not isinstance(children, list):
        raise DeclarationError(f"{where}.children: give a list of tables, [[{where}.children]]")
    read = [parse_child(c, f"{where}.children") for c in children]
    with _named(where):
        return Supervisor(children=read, **named)


def parse_child(table: object, where: str = "child") -> Child:
    """Read a child's declaration from plain data. Raises DeclarationError."""
    named = _keys(table, Child, where)
    label = f"{where}[{named.get('id', '?')}]"
    if "id" not in named:
        raise DeclarationError(f"{where}: the key id is missing")
    if named.get("supervisor") is not None:
        named["supervisor"] = parse_supervisor(named["supervisor"], f"{label}.supervisor")
    with _named(label):
        return Child(**named)


@contextmanager
def _named(where: str) -> Iterator[None]:
    try:
        yield
    except DeclarationError as error:
        raise DeclarationError(f"{where}: {error}") from None


def _keys(table: object, what: Any, where: str) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise DeclarationError(f"{where}: give a table, not {table!r}")
    known = [f.name for f in fields(what)]
    for key in table:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            hint = f"is {near[0]} meant?" if near else f"known are {', '.join(known)}"
            raise DeclarationError(f"{where}: {key} is no key here: {hint}")
    return dict(table)


def _plain(value: object) -> bool:
    return isinstance(value, str) and value != "" and "/" not in value


def _check(right: object, key: str, value: object, wanted: str) -> None:
    if not right:
        raise DeclarationError(f"{key} = {value!r}: give {wanted}")


def _one_of(key: str, value: object, allowed: Any) -> None:
    names = get_args(allowed)
    _check(value in names, key, value, " or ".join(names))


def _number(key: str, value: object, least: float, others: str = "") -> None:
    right = isinstance(value, int | float) and not isinstance(value, bool) and least <= value < 1e9
    _check(right, key, value, f"{others}seconds, from {least} on")


class Lifecycle:
    """The part of `host` that starts, stops and watches actors."""

    def _signal(self, what: str, to: str, name: str, payload: dict[str, Any], ref: str = "") -> str:
        raise NotImplementedError

    def _started(self, address: str, args: dict[str, Any]) -> Any:
        raise NotImplementedError

    def self_id(self) -> str:
        raise NotImplementedError

    def spawn(
        self, type: str, id: str, args: Mapping[str, Any] | Supervisor | None = None, *, link: bool = False,
        wait: bool = False,
    ) -> Any:  # fmt: skip
        """Start the actor ``type/id``, and return its address. Nothing happens to one that lives already.

        One that has been spawned is stopped by its first failure, and stays so until it is started again.

        Parameters:
            type: an actor type.
            id: which one of it.
            args: for its init handler; without one they fill the state fields of those names.
            link: also link it to this actor, at once.
            wait: it is a step of a handler that waits: it returns once the init handler has run, and raises
                what came of it otherwise: `AlreadyStarted`, `Ignored`, or the error of the init handler.
        """
        if args is not None and not isinstance(args, Supervisor | Mapping):
            raise TypeError(f"host.spawn: args={args!r:.80}: give a dict, or the declaration of a Supervisor")
        given = args.table() if isinstance(args, Supervisor) else dict(args or {})
        address = f"{type}/{id}"
        if wait and link:
            raise ValueError("host.spawn: wait=True does not link: call host.link once it has been started")
        if wait:
            return self._started(address, given)
        self._signal("spawn", address, "$start", {"args": given, "link": link})
        return address

    def stop(self, address: str, reason: str = "shutdown") -> None:
        """Stop an actor, behind all that this one has sent it before. Others are told its `reason`."""
        self._signal("stop", address, "$stop", {"reason": _reason(reason)})

    def exit(self, reason: str = "normal") -> None:
        """End this actor with this turn, which takes effect. Others hear of its exit and `reason`."""
        self._signal("exit", self.self_id(), "$exit", {"reason": _reason(reason)})

    def link(self, address: str) -> None:
        """Tie this actor's life to another's: when one exits, the other does.

        It does not where the reason is ``normal``, or where it declares a handler ``__exit__``, which gets
        ``address`` and ``reason`` instead.
        """
        self._signal("link", address, "$link", {})

    def unlink(self, address: str) -> None:
        """Undo `link`."""
        self._signal("unlink", address, "$unlink", {})

    def monitor(self, address: str) -> str:
        """Hear of another actor's exit, once: the handler ``__down__`` gets ``address, ref, reason``.

        Returns:
            The reference: the one that ``__down__`` gets, and for `demonitor`.
        """
        ref = self._signal("monitor", address, "$monitor", {})
        return f"{address.removeprefix(_DEFAULTS)}#{ref}"

    def demonitor(self, ref: str) -> None:
        """Undo `monitor`: from now on no ``__down__`` comes for it."""
        address, hash, own = ref.rpartition("#")
        if not hash:
            raise ValueError(f"host.demonitor: {ref!r} is no reference: give what host.monitor returned")
        self._signal("demonitor", address, "$demonitor", {}, own)


def _reason(reason: object) -> str:
    if not isinstance(reason, str) or not reason:
        raise TypeError(f"an exit reason is a text that is not empty, not {reason!r}")
    return reason
