"""What the actors of the simulation do, said once more, without the SDK and without patches."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from plexstream.model.journal.journal import OutKind
from plexstream.model.messages.address import parse
from plexstream.testing.simulation.cast.actors import KEPT, OUTPUT, RINGS, TTL

TTL_MS = round(TTL * 1000)


class Expected(NamedTuple):
    """What a turn must have done: `code` of the error, or ""; `outs` as (kind, target, handler, payload)."""

    code: str
    value: Any
    outs: list[tuple[int, str, str, Any]]


class Refusal(Exception):
    """The actor refuses."""


def blank() -> dict[str, Any]:
    """The state of an actor that had no turn."""
    plain: dict[str, Any] = {"n": 0, "last": "", "total": 0, "sent": 0, "timers": {}, "rings": {}}
    return {**plain, "counts": {}, "inbox": {}, "items": []}


class Actor:
    """One actor as it ought to be."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.short = parse(address).short
        self.seq = 0
        self.time = 0
        self.offset = -1
        self.pending: set[str] = set()  # ids of its timers, kept up by the model
        self.state = blank()
        self.raw = True  # its init hook has still to run
        self.views: list[dict[str, Any]] = []  # all that `get` could ever answer

    def expired(self, now: int) -> bool:
        """Whether a turn at `now` begins anew."""
        return parse(self.address).type == "brief" and self.time > 0 and now - self.time > TTL_MS

    def turn(self, handler: str, arguments: dict[str, Any], seq: int, now: int) -> Expected:
        """One message, handled; the state changes if no error comes of it."""
        before = json.dumps(self.state)
        outs: list[tuple[int, str, str, Any]] = []
        fresh = self.expired(now)
        if fresh:
            self.state = blank()
        if fresh or self.raw:
            self.state["total"] = 7
        try:
            value = self._run(handler, arguments, outs, seq)
        except Refusal as refusal:
            self.state = json.loads(before)
            return Expected("rejected", refusal.args[0], [])
        self.seq, self.time, self.raw = max(self.seq, seq), now, False
        self.views.append(self.view())
        return Expected("", value, outs)

    def pass_on(self, now: int) -> None:
        """A turn without a handler: a timer for another actor goes out."""
        if self.expired(now):
            self.state = blank()
            self.raw = True
        self.seq, self.time = self.seq + 1, now

    def read(self, now: int) -> None:
        """A turn that only reads."""
        if self.expired(now):
            self.state = blank()
            self.raw = True
        self.time = now

    def hidden(self) -> dict[str, Any]:
        """What is stored of it besides its state."""
        return {"$raw": True} if self.raw and self.seq else {}

    def view(self) -> dict[str, Any]:
        """What `get` answers."""
        s = self.state
        return {
            "n": s["n"], "op": s["last"], "total": s["total"], "sent": s["sent"],
            "counts": dict(s["counts"]), "items": list(s["items"]),
        }  # fmt: skip

    def _run(self, handler: str, a: dict[str, Any], outs: list[tuple[int, str, str, Any]], seq: int) -> Any:
        s = self.state
        op = a.get("op", "alarm")
        if handler == "add":
            s["total"] += a["amount"]
            key = str(a["amount"])
            s["counts"][key] = s["counts"].get(key, 0) + 1
            s["items"] = [*s["items"], op]
            if len(s["items"]) > KEPT:
                del s["items"][0]
        elif handler == "shrink":
            s["counts"] = {}
            s["items"] = s["items"][:-1]
        elif handler == "spread":
            for index, target in enumerate(a["to"]):
                self._tell(target, f"{op}/{index}", outs)
        elif handler == "got":
            s["inbox"][a["source"]] = a["number"]
            if a["number"] % 3 == 0 and op.count("/") < 3:
                self._tell(a["source"], f"{op}/0", outs)
        elif handler == "publish":
            for index in range(a["count"]):
                record = {"actor": self.short, "n": s["n"], "op": op, "index": index}
                outs.append((OutKind.EMIT, OUTPUT, "", record))
        elif handler == "later":
            target = str(parse(a["to"])) if a["to"] else self.address
            s["timers"][a["timer"]] = f"{seq}.{len(outs)}"
            outs.append((OutKind.TIMER, target, "fired", {"op": f"{op}/t", "timer": a["timer"]}))
        elif handler == "drop":
            if a["timer"] in s["timers"]:
                outs.append((OutKind.CANCEL, "", "", s["timers"].pop(a["timer"])))
        elif handler == "fired":
            s["timers"].pop(a["timer"], None)
            if a["timer"].startswith("t0") and (other := "t1" + a["timer"][2:]) in s["timers"]:
                outs.append((OutKind.CANCEL, "", "", s["timers"].pop(other)))
        elif handler == "series":
            s["rings"][a["name"]] = 0
            outs.append((OutKind.TIMER, self.address, "rang", {"op": f"{op}/r", "name": a["name"]}))
            self.pending.add(f"$remind/{a['name']}")
        elif handler == "rang":
            s["rings"][a["name"]] = s["rings"].get(a["name"], 0) + 1
            if s["rings"][a["name"]] >= RINGS:
                self._forget(a["name"], outs)
        elif handler == "unset":
            self._forget(a["name"], outs)
        elif handler == "wake":
            outs.append((OutKind.TIMER, self.address, "__alarm__", {}))
        elif handler == "__alarm__":
            if s["n"] % 2:
                outs.append((OutKind.TIMER, self.address, "__alarm__", {}))
        elif handler == "refuse":
            if s["n"] % 2 == 0:
                raise Refusal({"n": s["n"]})
            s["total"] += 1000
            s["counts"]["refused"] = 1
        elif handler == "break":
            s["total"] += 1
            s["items"] = [*s["items"], "broken"]
            outs.append((OutKind.EMIT, OUTPUT, "", {"never": op}))
        else:
            raise AssertionError(f"{handler} cannot end well")
        s["n"] += 1
        s["last"] = op
        return {"n": s["n"], "op": op}

    def _forget(self, name: str, outs: list[tuple[int, str, str, Any]]) -> None:
        if f"$remind/{name}" in self.pending:
            outs.append((OutKind.CANCEL, "", "", f"$remind/{name}"))

    def _tell(self, target: str, op: str, outs: list[tuple[int, str, str, Any]]) -> None:
        self.state["sent"] += 1
        arguments = {"op": op, "source": self.short, "number": self.state["sent"]}
        outs.append((OutKind.TELL, str(parse(target)), "got", arguments))
