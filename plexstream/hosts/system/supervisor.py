"""The supervisor: an actor like any other, so each of its decisions is a turn of the journal."""

from __future__ import annotations

from typing import Any

from plexstream.hosts.system.tree import Tree
from plexstream.model.life import KILL, KILLED, SHUTDOWN, START, STOP
from plexstream.sdk.current import current
from plexstream.sdk.declare import actor, handler, init_handler
from plexstream.sdk.errors import DeclarationError, Reject
from plexstream.sdk.fields import state, state_list
from plexstream.sdk.host import TurnApi, host
from plexstream.sdk.spec import Retry
from plexstream.sdk.supervision import TYPE, parse_child, parse_supervisor

MAX_HISTORY = 1_000
"""Decisions that a supervisor keeps; the journal has them all."""


@actor(name=TYPE, retry=Retry(attempts=1))
class SupervisorActor:
    """Starts children, and decides what becomes of those that end."""

    tree: Tree = state(default_factory=Tree)
    spawned: bool = state(default=False)
    history: Any = state_list()

    @init_handler
    def init(self, config: dict) -> None:  # type: ignore[type-arg]
        """Started by an actor or a supervisor: what it starts is in the arguments."""
        if config:
            self.spawned = True
            self.configure(config)

    @handler("configure")
    def configure(self, spec: dict) -> None:  # type: ignore[type-arg]
        """Become what a declaration says. The same one again changes nothing."""
        try:
            self.tree.configure(self._id(), parse_supervisor(spec), self)
        except (DeclarationError, ValueError) as error:
            raise Reject(str(error)) from None

    @handler("start_child")
    def start_child(self, child: dict) -> None:  # type: ignore[type-arg]
        """Start one more child."""
        try:
            self.tree.add(self._id(), parse_child(child), self)
        except (DeclarationError, ValueError) as error:
            raise Reject(str(error)) from None

    @handler("stop_child")
    def stop_child(self, id: str) -> None:
        """Stop a child. It stays among the children, and may be restarted."""
        self._order("stop", id)

    @handler("restart_child")
    def restart_child(self, id: str) -> None:
        """Stop a child, if it runs, and start it with fresh state."""
        self._order("restart", id)

    @handler("delete_child")
    def delete_child(self, id: str) -> None:
        """Stop a child, and forget it."""
        self._order("delete", id)

    def _order(self, what: str, id: str) -> None:
        try:
            self.tree.order(what, id, self)
        except ValueError as error:
            raise Reject(str(error)) from None

    @handler("restart")
    def restart(self) -> None:
        """After it has given up: start all children again."""
        if self.tree.phase != "gave up":
            raise Reject(f"the supervisor is {self.tree.phase}: it can be restarted after it gave up")
        self.note("restart on demand", "", "", 0)
        self.tree.revive(self)

    @handler("which_children", read_only=True)
    def which_children(self) -> list[dict[str, Any]]:
        """The children and how they are."""
        return [
            {"id": c.id, "address": c.address, "status": c.status, "starts": c.starts, "reason": c.reason}
            for c in self.tree.children
        ]

    # From children

    @handler("__child__")
    def on_child(self, child: str, event: str, ref: str, reason: str) -> None:
        """A child has been started, or has ended."""
        if host.sender() != _short(child):
            raise Reject("only a child says what becomes of it")
        if event == "started":
            self.tree.started(_short(child), ref, self)
        else:
            self.tree.ended(_short(child), ref, event, reason, self)

    @handler("__stop__")
    def on_stop(self, reason: str) -> None:
        """Stop the children first."""
        self.spawned = True  # who is told to stop exits, whoever started it
        self.tree.stop(reason, self)

    @handler("__timeout__")
    def on_timeout(self, child: str, ref: str) -> None:
        """A child may not take longer to stop."""
        self.tree.late(child, ref, self)

    # What the tree can do

    def now(self) -> int:
        return host.now()

    def start(self, address: str, args: dict[str, Any], restart: bool, resumes: bool) -> str:
        return _signal(
            address, START, {"args": args, "parent": True, "restart": restart, "resumes": resumes}
        )

    def stop(self, address: str, ref: str, kill: bool) -> None:
        reason = KILLED if kill else SHUTDOWN
        _signal(address, KILL if kill else STOP, {"reason": reason, "life": ref})

    def configure_below(self, address: str, spec: dict[str, Any]) -> None:
        host.tell(address, "configure", spec=spec)

    def timeout(self, seconds: float, child: str, ref: str) -> str:
        return host.send_after(seconds, "__timeout__", child=child, ref=ref)

    def cancel(self, timer: str) -> None:
        host.cancel(timer)

    def exit(self, reason: str) -> None:
        if self.spawned:
            host.exit(reason)

    def note(self, decision: str, child: str, reason: str, restarts: int) -> None:
        self.history.append(
            {"time": host.now(), "decision": decision, "child": child, "reason": reason, "restarts": restarts}
        )
        if len(self.history) > MAX_HISTORY:
            del self.history[0]

    def _id(self) -> str:
        return host.self_id().rpartition("/")[2]


def _short(address: str) -> str:
    return address.removeprefix("default/default/")


def _signal(to: str, name: str, payload: dict[str, Any]) -> str:
    turn: TurnApi | None = current.turn
    assert turn is not None
    return turn.signal(to, name, payload, "")
