"""Starts, stops, links and monitors: what signals do to an actor, and what its end does to others.

Everything is decided within one turn, from the actor's own state, and leaves with that turn.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from plexstream.model.errors import FAILURES
from plexstream.model.host import TypeInfo
from plexstream.model.journal.journal import Change, Out, OutKind
from plexstream.model.journal.life import (
    DEMONITOR,
    DOWN,
    EXIT,
    EXITED,
    FIELD,
    KILL,
    KILLED,
    LINK,
    LINKS,
    MONITOR,
    MONITORS,
    NOBODY,
    NORMAL,
    ON_CHILD,
    ON_DOWN,
    ON_EXIT,
    ON_STOP,
    RESTARTED,
    SHUTDOWN,
    SIGNALS,
    START,
    STARTED,
    STOP,
    UNLINK,
    WATCHING,
    Life,
    decode_life,
    encode_life,
)  # fmt: skip
from plexstream.model.journal.snapshot import Piece
from plexstream.model.journal.timer import CRON, decode_timer
from plexstream.model.messages.address import parse
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.actors.lives.calls import end_calls
from plexstream.processor.actors.lives.signals import (
    MAX_REASON,
    Ruling,
    exited,
    notice,
    refused,
    said_by,
    to_run,
    undelivered,
)
from plexstream.processor.state.core import Core
from plexstream.processor.state.pieces import Pieces

_ENTRY = Piece.ENTRY.value
_TELL, _TIMER, _CANCEL = OutKind.TELL.value, OutKind.TIMER.value, OutKind.CANCEL.value
_FATAL = FAILURES | {"too_large", "poisoned"}
"""Errors that are the actor's own. The others are its callers'."""
_SET = b"true"
WAKE = "$wake"
"""Handler of the timers that the sleeps of waiting handlers are."""
OVERTAKES = frozenset((START, KILL))
"""Signals that do not wait for a busy actor: they are what frees it."""


class Lives:
    """The lives of one partition's actors.

    Parameters:
        number: finds the number of an actor's latest turn, be it acknowledged or not; None: all are.
    """

    def __init__(self, pieces: Pieces, number: Callable[[str], int] | None = None) -> None:
        self._pieces = pieces
        self._number = number or (lambda address: pieces.core(address).seq)
        self._ahead: dict[str, Life] = {}  # of actors that were not in memory when it changed

    def of(self, address: str, core: Core | None = None) -> Life | None:
        """An actor's life, while the actor is not in memory. `core`: if it was looked up already."""
        life = self._ahead.get(address)
        if life is None:
            life = decode_life((core or self._pieces.core(address)).fields.get(FIELD))
        return life

    def keep(self, address: str, life: Life, loaded: bool) -> None:
        """A turn on its way to the log has changed a life."""
        if not loaded or address in self._ahead:
            self._ahead[address] = life

    # What comes in

    def rule(self, address: str, life: Life | None, had_turns: bool, info: TypeInfo, e: Envelope) -> Ruling:
        """What a message does; its handler and payload are the message's own where it is no signal."""
        if e.handler not in SIGNALS:
            if life is not None and life.stopped:
                detail = f"{address} is stopped ({life.reason}): it takes messages once it is started again"
                return refused(life, "stopped", detail)
            return Ruling(life, [], [], e.handler, e.payload)
        if e.headers.get("read_only") == "1":
            return refused(life, "not_read_only", f"{e.handler} changes an actor: use POST, not GET")
        said = said_by(e.payload)
        if said is None:
            detail = f"{e.handler}: give an object with ref, life and reason as texts, args as an object"
            return refused(life, "bad_arguments", detail)
        if e.handler == START:
            return self._start(address, life, had_turns, e, said)
        if e.handler in (STOP, KILL):
            return self._stop(address, life, info, e, said["life"], said["reason"])
        return self._hear(address, life, info, e, said)

    def _start(
        self, address: str, life: Life | None, had_turns: bool, e: Envelope, said: dict[str, Any]
    ) -> Ruling:
        now, ref, args, sender = life or Life(), said["ref"], said["args"], e.sender
        told: Ruling | None = None
        parent = sender if said.get("parent") is True else ""
        changes = [Change(LINKS, sender, _SET)] if said.get("link") is True and sender else []
        if had_turns and not now.stopped:
            if not parent and e.kind == ASK:
                return refused(life, "already_started", f"{address} lives already, and goes on as it is")
            if not parent:
                return Ruling(now, changes, [])  # it lives already
            if now.parent and now.parent != parent:
                why = f"{address} is a child of {now.parent}"
                return Ruling(life, [], [notice(parent, EXITED, ref=ref, reason=why)])
            if said.get("restart") is not True:
                adopted = now._replace(
                    id=ref, parent=parent, resumes=said.get("resumes") is True, failed=False
                )
                return Ruling(adopted, changes, [notice(parent, STARTED, ref=ref)])
            told = self._told(address, RESTARTED, parent)
            told = told._replace(outs=told.outs + self._timers_back(address, declared=False))
            changes = told.changes + changes
        begun = Life(
            ref or f"{now.starts + 1}", now.starts + 1, parent=parent, resumes=said.get("resumes") is True
        )
        outs = [notice(parent, STARTED, ref=ref)] if parent else []
        outs += told.outs if told is not None else []
        return Ruling(begun, changes, outs, START, json.dumps(args).encode(), fresh=had_turns)

    def _stop(
        self, address: str, life: Life | None, info: TypeInfo, e: Envelope, of: str, reason: str
    ) -> Ruling:
        now = life or Life()
        if of and (now.id != of or now.stopped):
            # An earlier life's: its supervisor must hear that it is over, whatever ended it.
            return Ruling(life, [], [notice(e.sender, EXITED, ref=of, reason=NOBODY)] if e.sender else [])
        if now.stopped:
            return Ruling(life, [], [])
        if e.handler == STOP and ON_STOP in info.hooks:
            return to_run(now, ON_STOP, reason=reason or SHUTDOWN)
        return self._end(address, now, reason or (KILLED if e.handler == KILL else SHUTDOWN))

    def _hear(
        self, address: str, life: Life | None, info: TypeInfo, e: Envelope, said: dict[str, Any]
    ) -> Ruling:
        """Notices, and who wants to get them."""
        name, sender, now = e.handler, e.sender, life or Life()
        ref, reason = said["ref"], said["reason"]
        if not sender:
            return refused(life, "bad_arguments", f"{name} comes from actors only")
        if name in (STARTED, EXITED):
            if ON_CHILD not in info.hooks or now.stopped:
                return Ruling(life, [], [])
            how = next((how for how in ("resumed", "failed", "ignored") if said.get(how) is True), name[1:])
            gone = self._drop(address, LINKS, sender) if how in ("exited", "ignored") else []
            return to_run(now, ON_CHILD, gone, child=parse(sender).short, event=how, ref=ref, reason=reason)
        if name == LINK:
            if now.stopped:
                return Ruling(life, [], [notice(sender, EXIT, reason=NOBODY)])
            return Ruling(now, [Change(LINKS, sender, _SET)], [])
        if name == MONITOR:
            if now.stopped:
                return Ruling(life, [], [notice(sender, DOWN, ref=ref, reason=NOBODY)])
            return Ruling(now, [Change(MONITORS, ref, json.dumps(sender).encode())], [])
        if name == UNLINK:
            return Ruling(life, self._drop(address, LINKS, sender), [])
        if name == DEMONITOR:
            return Ruling(life, self._drop(address, MONITORS, ref), [])
        if name == DOWN:
            gone = self._drop(address, WATCHING, ref)
            if not gone or now.stopped or ON_DOWN not in info.hooks:
                return Ruling(life, gone, [])
            who = parse(sender).short
            return to_run(now, ON_DOWN, gone, address=who, ref=f"{who}#{ref}", reason=reason)
        gone = self._drop(address, LINKS, sender)
        if now.stopped or not (gone or sender == now.parent):
            return Ruling(life, gone, [])
        if sender == now.parent:
            if ON_STOP in info.hooks:
                return to_run(now._replace(parent=""), ON_STOP, gone, reason=reason)
        elif ON_EXIT in info.hooks:
            return to_run(now, ON_EXIT, gone, address=parse(sender).short, reason=reason)
        elif reason == NORMAL:
            return Ruling(life, gone, [])
        # Whoever has exited need not be told.
        return self._end(address, now, reason, without=sender)

    # What goes out

    def sent(
        self, address: str, ruling: Ruling | None, life: Life | None, outs: list[Out],
        calls: Sequence[Change] = (),
    ) -> Ruling:  # fmt: skip
        """What the signals among a handler's `outs` do to its own actor; all of them are the ruling's then.

        Parameters:
            ruling: on the message that the handler has handled, if there was one.
            life: the actor's, before that.
            calls: changes of its calls that the handler makes; they are the ruling's then, too.
        """
        changes: dict[tuple[str, str], Change] = {}
        kept: list[Out] = []
        end: str | None = None

        def note(field: str, key: str, value: bytes | None) -> None:
            changes[field, key] = Change(field, key, value)

        for out in outs:
            if out.kind != _TELL or out.handler not in SIGNALS:
                kept.append(out)
                continue
            said = json.loads(out.payload)
            if out.handler == EXIT and out.target == address:
                end = said["reason"]
                continue
            kept.append(out)
            if out.handler == LINK or (out.handler == START and (said.get("link") or said.get("parent"))):
                note(LINKS, out.target, _SET)
            elif out.handler == UNLINK:
                note(LINKS, out.target, None)
            elif out.handler == MONITOR:
                note(WATCHING, said["ref"], json.dumps(out.target).encode())
            elif out.handler == DEMONITOR:
                note(WATCHING, said["ref"], None)
        if ruling is not None:
            life = ruling.life
        if changes or end is not None:
            life = life or Life()
        changes.update({(call.field, call.key or ""): call for call in calls})
        if ruling is not None:
            kept = ruling.outs + kept
            changes = {**{(c.field, c.key or ""): c for c in ruling.changes}, **changes}
        if end is None:
            return Ruling(life, list(changes.values()), kept, fresh=ruling is not None and ruling.fresh)
        assert life is not None
        kept = [out for out in kept if out.kind != _TIMER or out.target != address]
        ended = self._end(address, life, end[:MAX_REASON], changes=changes)
        undone = [c for c in changes.values() if c.value is None]  # before it ended: nobody is told
        told = [*undone, *ended.changes]
        fresh = ruling is not None and ruling.fresh
        return ended._replace(outs=kept + ended.outs, changes=told, fresh=fresh)

    def failed(self, address: str, life: Life | None, e: Envelope, code: str, detail: str) -> Ruling:
        """A message has failed for good: who is told, and whether the actor ends."""
        if code in ("not_read_only", "already_started"):
            return Ruling(None, [], [])
        reason = f"{code}: {detail}"[:MAX_REASON]
        if e.handler in SIGNALS:
            said = said_by(e.payload)
            if said is not None and e.handler == START:
                before = life or Life()
                stopped = Life(said["ref"] or before.id, before.starts + 1, True, reason)
                outs = undelivered(e, said, reason, ignored=code == "ignored")
                return Ruling(stopped, [], outs + self._timers_back(address))
            if said is not None and life is None:  # nobody is there to get it
                return Ruling(None, [], undelivered(e, said, reason))
        if life is None or life.stopped or code not in _FATAL:
            return Ruling(None, [], [])
        if life.parent:
            if life.resumes:
                out = notice(life.parent, EXITED, ref=life.id, reason=reason, resumed=True)
                return Ruling(None, [], [out])
            if life.failed:
                return Ruling(None, [], [])
            out = notice(life.parent, EXITED, ref=life.id, reason=reason, failed=True)
            told = self._told(address, reason, life.parent)
            return Ruling(life._replace(failed=True), told.changes, [out, *told.outs])
        told = self._told(address, reason, "")
        if life.id or any(c.field == LINKS for c in told.changes):
            ended = life._replace(stopped=True, reason=reason)
            return told._replace(life=ended, outs=told.outs + self._timers_back(address))
        # Nobody started it, so nothing ends it: it goes on as it was before the message.
        return told._replace(changes=[c for c in told.changes if c.field == MONITORS],
                             outs=[o for o in told.outs if o.handler == DOWN], life=life)  # fmt: skip

    @staticmethod
    def started(life: Life | None) -> list[Out]:
        """What a parent hears once its child's start is over."""
        alive = life is not None and life.parent and not life.stopped
        return [notice(life.parent, STARTED, ref=life.id)] if alive and life is not None else []

    def start_failed(self, address: str, life: Life, code: str, detail: str) -> Ruling:
        """A life that had begun ends: its start had to wait, and has failed or is not to be."""
        if life.stopped:
            return Ruling(None, [], [])
        return self._end(address, life, f"{code}: {detail}"[:MAX_REASON], ignored=code == "ignored")

    def _end(
        self, address: str, life: Life, reason: str, without: str = "",
        changes: dict[tuple[str, str], Change] | None = None, ignored: bool = False,
    ) -> Ruling:  # fmt: skip
        told = self._told(address, NORMAL if ignored else reason, without, changes or {})
        outs = told.outs + self._timers_back(address)
        if life.parent and life.parent != without:
            outs = [exited(life.parent, life.id, reason, ignored), *outs]
        return Ruling(life._replace(stopped=True, reason=reason, failed=False), told.changes, outs)

    def _told(
        self, address: str, reason: str, without: str, changed: dict[tuple[str, str], Change] | None = None
    ) -> Ruling:
        """Everybody who wants to hear of an exit is told, and nobody is linked any more."""
        changed = changed or {}
        changes: list[Change] = []
        outs: list[Out] = []
        for field, key, value in self._known(address, changed):
            changes.append(Change(field, key, None))
            if field == LINKS and key != without:
                outs.append(notice(key, EXIT, reason=reason))
            elif field == MONITORS:
                outs.append(notice(json.loads(value), DOWN, ref=key, reason=reason))
            elif field == WATCHING:
                outs.append(notice(json.loads(value), DEMONITOR, ref=key))
        why = f"{address} has ended before it answered: {reason}"
        unanswered = end_calls(self._pieces, address, changed, why, self._number(address))
        return Ruling(None, [*changes, *unanswered.changes], [*outs, *unanswered.outs])

    def _timers_back(self, address: str, declared: bool = True) -> list[Out]:
        """An actor's timers for itself end with its life. Those for others are messages on their way.

        Without `declared` but for those that its type declares, which another life has, too.
        """
        return [
            Out(_CANCEL, t.name, "", "", b"")
            for t in self._pieces.timers_of(address)
            if decode_timer(t.data).target == address
            and decode_timer(t.data).handler != WAKE  # handlers' sleeps end with the handlers
            and (declared or not t.name.startswith(CRON))
        ]

    def _known(
        self, address: str, changed: dict[tuple[str, str], Change]
    ) -> Iterable[tuple[str, str, bytes]]:
        for field in (LINKS, MONITORS, WATCHING):
            found = dict(self._pieces.collections.entries(address, field))
            for (name, key), change in changed.items():
                if name == field:
                    found.pop(key, None)
                    if change.value is not None:
                        found[key] = change.value
            yield from ((field, key, value) for key, value in sorted(found.items()))

    def _has(self, address: str, field: str, key: str) -> bool:
        return self._pieces.entry((_ENTRY, address, field, key)) is not None

    def _drop(self, address: str, field: str, key: str) -> list[Change]:
        return [Change(field, key, None)] if self._has(address, field, key) else []


def life_change(life: Life) -> Change:
    """The change of state that a life is."""
    return Change(FIELD, None, encode_life(life))
