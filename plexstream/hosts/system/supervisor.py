"""The supervisor: an actor like any other, so each of its decisions is a turn of the journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from plexstream.hosts.system.children.acts import NOBODY
from plexstream.hosts.system.children.children import Children, Node
from plexstream.hosts.system.children.state import Event, Head, Step
from plexstream.hosts.system.legacy import take_over
from plexstream.hosts.system.tree import Tree
from plexstream.model.errors import TooLarge
from plexstream.model.journal.life import KILL, KILLED, SHUTDOWN, START, STOP
from plexstream.sdk.declaring.declare import actor, handler, init_handler
from plexstream.sdk.declaring.fields import state, state_list, state_map
from plexstream.sdk.errors import DeclarationError, Reject
from plexstream.sdk.host.host import TurnApi, host
from plexstream.sdk.host.steps import MAX_SLEEP
from plexstream.sdk.host.supervision import TYPE, parse_child, parse_supervisor
from plexstream.sdk.running.collections.lists import StateList
from plexstream.sdk.running.collections.maps import StateMap
from plexstream.sdk.running.current import current
from plexstream.sdk.spec import Retry

_LONGEST_REF = 48
"""Bytes of what names a life, more than there ever are."""
MAX_HISTORY = 1_000
"""Decisions that a supervisor keeps; the journal has them all."""


@actor(name=TYPE, retry=Retry(attempts=1))
class SupervisorActor:
    """Starts children, and decides what becomes of those that end."""

    head: Head = state(default_factory=Head)
    tree: Any = state(default=None)  # of before children had entries of their own
    spawned: bool = state(default=False)
    children: StateMap[str, Node] = state_map()
    order: StateMap[str, list[str]] = state_map()
    todo: StateList[Step] = state_list()
    waiting: StateList[Event] = state_list()
    restarts: StateList[int] = state_list()
    history: StateList[dict[str, Any]] = state_list()

    @init_handler
    def init(self, config: dict) -> None:  # type: ignore[type-arg]
        """Started by an actor or a supervisor: what it starts is in the arguments."""
        if config:
            self.spawned = True
            self.configure(config)

    @handler("configure")
    def configure(self, spec: dict) -> None:  # type: ignore[type-arg]
        """Become what a declaration says. The same one again changes nothing."""
        with _refusals():
            self._tree().configure(parse_supervisor(spec))

    @handler("start_child")
    def start_child(self, child: dict) -> None:  # type: ignore[type-arg]
        """Start one more child. The answer is its address, once it runs, or why it does not."""
        with _refusals():
            self._tree().add(parse_child(child), host.defer() or NOBODY)

    @handler("stop_child")
    def stop_child(self, id: str) -> None:
        """Stop a child. It stays among the children, unless it is temporary, and may be restarted."""
        with _refusals():
            self._tree().stop_child(id)

    @handler("restart_child")
    def restart_child(self, id: str) -> None:
        """Start a child that is stopped, with fresh state. The answer comes as that of `start_child`."""
        with _refusals():
            self._tree().restart_child(id, host.defer() or NOBODY)

    @handler("delete_child")
    def delete_child(self, id: str) -> None:
        """Forget a child that is stopped."""
        with _refusals():
            self._tree().delete_child(id)

    @handler("restart")
    def restart(self) -> None:
        """After it has given up: start the children again that ran then."""
        phase = self._view()[0].phase
        if phase != "gave up":
            raise Reject(f"the supervisor is {phase}: it can be restarted after it gave up")
        self.note("restart on demand", "", "", 0)
        self._tree().revive()

    @handler("which_children", read_only=True)
    def which_children(self, after: str = "", limit: int = 0) -> list[dict[str, Any]]:
        """The children and how they are, in the order in which they start.

        Parameters:
            after: the id of a child: those behind it.
            limit: how many at most; 0: all, if that fits in one answer.
        """
        _, children = self._view()
        if after and children.get(after) is None:
            raise Reject(f"there is no child {after!r}: begin anew, without after")
        found: list[dict[str, Any]] = []
        for id in children.ids(after):
            node = children.get(id)
            assert node is not None
            found.append(node.row())
            if limit and len(found) == limit:
                break
        return found

    @handler("count_children", read_only=True)
    def count_children(self) -> dict[str, int]:
        """How many children there are, and how many of them have been started and are not stopped."""
        head, _ = self._view()
        return {
            "specs": head.specs, "active": head.active, "supervisors": head.supervisors,
            "workers": head.specs - head.supervisors,
        }  # fmt: skip

    @handler("get_childspec", read_only=True)
    def get_childspec(self, id: str) -> dict[str, Any]:
        """The declaration of a child."""
        node = self._view()[1].get(id)
        if node is None:
            raise Reject(f"there is no child {id!r}")
        return node.table()

    # From children

    @handler("__child__")
    def on_child(self, child: str, event: str, ref: str, reason: str) -> None:
        """A child has been started, or has ended."""
        if host.sender() != _short(child):
            raise Reject("only a child says what becomes of it")
        if event == "started":
            self._tree().started(_short(child), ref)
        else:
            self._tree().ended(_short(child), ref, event, reason)

    @handler("__stop__")
    def on_stop(self, reason: str) -> None:
        """Stop the children first."""
        self.spawned = True  # who is told to stop exits, whoever started it
        self._tree().stop(reason)

    @handler("__timeout__")
    def on_timeout(self, child: str, ref: str) -> None:
        """A child may not take longer to stop."""
        self._tree().late(child, ref)

    # What the tree can do

    def now(self) -> int:
        return host.now()

    def check(self, child: Node) -> None:
        _turn().message("start_child", child.address, "start", {**_start(child), "ref": "0" * _LONGEST_REF})

    def start(self, child: Node) -> str:
        return _signal(child.address, START, _start(child))

    def stop(self, child: Node, kill: bool) -> None:
        reason = KILLED if kill else SHUTDOWN
        _signal(child.address, KILL if kill else STOP, {"reason": reason, "life": child.ref})

    def configure_below(self, child: Node) -> None:
        host.tell(child.address, "configure", spec=child.args)

    def timeout(self, child: Node) -> str:
        return host.send_after(min(child.shutdown, MAX_SLEEP), "__timeout__", child=child.id, ref=child.ref)

    def cancel(self, timer: str) -> None:
        host.cancel(timer)

    def answer(self, call: str, address: str, error: str) -> None:
        if error:
            host.reject(call, error)
        else:
            host.reply(call, address)

    def exit(self, reason: str) -> None:
        if self.spawned:
            host.exit(reason)

    def note(self, decision: str, child: str, reason: str, restarts: int) -> None:
        self.history.append(
            {"time": host.now(), "decision": decision, "child": child, "reason": reason, "restarts": restarts}
        )
        if len(self.history) > MAX_HISTORY:
            del self.history[0]

    # Parts

    def _tree(self) -> Tree:
        children = Children(self.children, self.order)
        if self.tree is not None:
            old, self.tree = self.tree, None
            self.head = take_over(old, children, self.todo, self.waiting, self.restarts)
        return Tree(self._id(), self.head, children, self.todo, self.waiting, self.restarts, self)

    def _view(self) -> tuple[Head, Children]:
        """To look at: nothing is taken over."""
        if self.tree is None:
            return self.head, Children(self.children, self.order)
        children = Children({}, {})
        return take_over(self.tree, children, [], [], []), children

    def _id(self) -> str:
        return host.self_id().rpartition("/")[2]


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except (DeclarationError, ValueError, TooLarge) as error:
        raise Reject(str(error)) from None  # any other error would end the supervisor


def _short(address: str) -> str:
    return address.removeprefix("default/default/")


def _start(child: Node) -> dict[str, Any]:
    resumes = child.on_failure == "resume"
    return {"args": child.args, "parent": True, "restart": child.starts > 0, "resumes": resumes}


def _turn() -> TurnApi:
    turn: TurnApi | None = current.turn
    assert turn is not None
    return turn


def _signal(to: str, name: str, payload: dict[str, Any]) -> str:
    return _turn().signal(to, name, payload, "")
