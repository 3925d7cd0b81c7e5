"""``fsm``: what a method of a state machine asks of the machine."""

from __future__ import annotations

from typing import Any

from plexstream.sdk.errors import OutsideHandler
from plexstream.sdk.machines.clocks import MAX_SECONDS
from plexstream.sdk.machines.machine import STATE, Running
from plexstream.sdk.running.current import current
from plexstream.sdk.running.values import arguments_of


class Fsm:
    """The machine as a method of an `fsm_actor` sees it. There is one object, `fsm`."""

    def next_event(self, event: str, payload: Any = None, /, **arguments: Any) -> None:
        """Let the machine handle an event next: before any that was postponed or comes by message.

        It is handled in the same turn, in the state that the method leaves behind, after what entering that
        calls. Several keep their order. If one fails, the whole turn is rolled back.

        Parameters:
            event: the name of an event of this machine.
            payload, arguments: its arguments, as a dict or as keywords.
        """
        running = _running("next_event")
        events = running.machine.events
        if event not in events:
            known = ", ".join(sorted(events)) or "none"
            raise ValueError(f"fsm.next_event: {running.machine.name} has no event {event!r}; it has {known}")
        given = current.turn.plain(arguments_of("fsm.next_event", payload, arguments))
        running.inserted.append((event, given))
        running.asked = True

    def postpone(self) -> None:
        """Keep the event that is handled, and handle it again after the next transition.

        What the method does besides takes effect. Its caller gets the result of the time when it was not
        postponed. A machine without `postpone_in` must be declared with `max_postponed` for that.
        """
        running = _running("postpone")
        if not running.name:
            raise OutsideHandler("fsm.postpone: what runs is no event: a timeout, for instance")
        if not running.machine.keeps:
            raise TypeError(
                f"fsm.postpone: {running.machine.name} keeps no events: say how many it may keep at most, "
                "as in @fsm_actor(…, max_postponed=256)"
            )
        running.postponed = True

    def repeat_state(self) -> None:
        """Enter the present state anew: what that calls runs, its timeout begins anew, and events that were
        postponed are tried again."""
        running = _running("repeat_state")
        running.repeats = running.asked = True

    def set_timeout(self, seconds: float | None) -> None:
        """Let the timeout of the present state be in so many seconds from now on; None: not at all.

        A transition takes it back, as ever. There must be a method with `state_timeout` for the state.
        """
        running = _running("set_timeout", enters=True)
        state, clocks = running.actor.__dict__[STATE], running.machine.clocks
        if state not in clocks.states:
            raise ValueError(f"fsm.set_timeout: there is no @state_timeout({state!r}) to be run")
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if seconds is not None and not (number and 0 <= seconds <= MAX_SECONDS):
            raise ValueError(f"fsm.set_timeout: {seconds!r} s; from 0 to {MAX_SECONDS:.0f} is allowed")
        clocks.enter(running.actor, state, seconds)
        running.asked = True


def _running(what: str, enters: bool = False) -> Running:
    running: Running | None = None if current.turn is None else current.turn.behaviour
    if running is None:
        raise OutsideHandler(f"fsm.{what} was called outside a method that an @fsm_actor runs")
    if running.enters and not enters:
        raise OutsideHandler(f"fsm.{what}: not while a state is entered")
    return running


fsm = Fsm()
