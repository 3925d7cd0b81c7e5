"""How the records of a subscribed topic become messages."""

from __future__ import annotations

import msgspec

from plexstream.log.base import Record
from plexstream.model.messages.address import DEFAULT_NAMESPACE, DEFAULT_TENANT
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.messages.text import said, shown, words
from plexstream.sdk.spec import Subscription

SHOWN = 100
"""Characters of a value that a reason shows."""

_loads = msgspec.json.Decoder().decode


def checked_value(record: Record, most: int) -> bytes:
    """The value of a record. Raises ValueError where there is none, or it has more than `most` bytes."""
    value = record.value
    if value is None:
        raise ValueError("the record has no value")
    if len(value) > most:
        raise ValueError(f"the record has {len(value)} bytes, at most {most} are allowed")
    return value


def read_json(value: bytes) -> object:
    """What a value says. Raises ValueError where it is no JSON."""
    try:
        found: object = _loads(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the value is no JSON: {error}") from None
    return found


def refused(record: Record, origin: str, handler: str, why: str, value: bytes) -> Envelope:
    """The message for a record that is none: whoever has its partition puts it aside."""
    return Envelope(
        TELL, f"{origin}/{record.offset}", origin, handler, value, "", "", "", record.time,
        {"malformed": why}, origin, record.offset, 0,
    )  # fmt: skip


class Feed:
    """How the records of one topic become messages, for one subscription."""

    def __init__(self, type_name: str, subscription: Subscription, max_message: int) -> None:
        self.topic = subscription.topic
        self._max_message = max_message
        self._prefix = f"{DEFAULT_TENANT}/{DEFAULT_NAMESPACE}/{type_name}/"
        self._handler = subscription.handler
        self._key = subscription.key
        self._into = b'{"%b":' % subscription.into.encode() if subscription.into else None

    @property
    def plain(self) -> tuple[str, str, int] | None:
        """What of it C code needs: how addresses begin, the handler, the most bytes of a value.

        None where a message is not the record's value for the actor that its key names.
        """
        if self._key is not None or self._into is not None:
            return None
        return self._prefix, self._handler, self._max_message

    def message(self, record: Record, origin: str) -> Envelope:
        """The message for a record. One that cannot be read goes to the dead letters, by way of a mailbox."""
        value = record.value or b""
        try:
            if len(value) > self._max_message:
                size, value = len(value), b""  # it stands in its topic
                raise ValueError(f"the record has {size} bytes, at most {self._max_message} are allowed")
            target = self._prefix + self._actor_id(record)
        except Exception as error:  # ValueError, and what a key of the user's own type raises
            return self.refused(record, origin, words(error), value)
        id = f"{origin}/{record.offset}"
        payload = value if self._into is None else self._into + value + b"}"
        return Envelope(
            TELL, id, target, self._handler, payload, "", "", "", record.time, {}, origin, record.offset, 0
        )

    def refused(self, record: Record, origin: str, why: str, value: bytes = b"") -> Envelope:
        """The message for a record that is none."""
        return refused(record, origin, self._handler, why, value)

    def _actor_id(self, record: Record) -> str:
        if record.value is None:
            raise ValueError("the record has no value")
        key = self._key
        if key is None:
            id: object = record.key.decode(errors="strict")
        else:
            value = read_json(record.value)
            if callable(key):
                try:
                    id = key(value)
                except BaseException as error:  # SystemExit, too: it costs this record alone
                    what = said(error)[:SHOWN]
                    raise ValueError(f"the subscription's key function raised {what}") from None
            elif not isinstance(value, dict) or key not in value:
                raise ValueError(f"the value has no field {key!r}")
            else:
                id = value[key]
        if isinstance(id, int) and not isinstance(id, bool):
            id = str(id)
        if not isinstance(id, str) or not id or "/" in id or not id.isprintable():
            raise ValueError(
                f"the key {shown(id, SHOWN)} is no actor id: text without '/' and control characters is"
            )
        if self._into is not None and key is None:
            read_json(record.value)
        return id
