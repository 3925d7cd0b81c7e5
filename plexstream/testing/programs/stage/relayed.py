"""What a relay makes of a turn, for tests that play one themselves."""

from __future__ import annotations

from collections.abc import Callable

from plexstream.model.journal.journal import Out, OutKind, Step, Turn
from plexstream.model.messages.message import Envelope


def relay(
    offset: int, turn: Turn | Step, send: Callable[[Envelope], None], answer: Callable[[Out], None]
) -> None:
    """Send what one record of partition 0's journal owes.

    Parameters:
        offset: of the record.
        send: gets each message to an actor.
        answer: gets each reply and error that goes to somebody outside.
    """
    for index, out in enumerate(turn.outs):
        if out.kind in (OutKind.REPLY, OutKind.ERROR) and "/" not in out.target:
            answer(out)
        elif out.kind <= OutKind.ERROR:
            asks = out.kind == OutKind.ASK
            send(Envelope(
                out.kind, out.id or f"{offset}.{index}", out.target, out.handler, out.payload, turn.actor,
                reply_to=turn.actor if asks else "", headers={"chain": out.note} if asks else {},
                origin="journal/0", origin_seq=offset, origin_index=index,
            ))  # fmt: skip
