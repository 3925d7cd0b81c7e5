"""Plain fields: compared after each turn instead of watched, so that handlers touch ordinary attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from plexstream.model.errors import TooLarge
from plexstream.model.journal import Change
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.spec import ActorType, Field

_SCALARS = (int, str, bool)
# For these `is` tells that nothing has changed; anything else may have been changed inside.
_IMMUTABLE = frozenset((int, str, bool, float, type(None), bytes))

encode = msgspec.json.Encoder(decimal_format="string", order=None).encode


class BadState(TypeError):
    """A state field got a value that its type hint or JSON does not allow."""


class FieldCodec:
    """One plain field: its name, its initial value, how it is checked and read back."""

    __slots__ = ("decode", "exact", "field", "initial", "name", "where")

    def __init__(self, field: Field, where: str) -> None:
        self.name = field.name
        self.field = field
        self.where = where
        self.exact = field.annotation if field.annotation in _SCALARS else None
        try:
            self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(field.annotation).decode
        except TypeError as error:
            raise DeclarationError(f"{where}: its type hint cannot be stored: {error}") from error
        try:
            self.initial = encode(field.initial())
        except TypeError as error:
            raise DeclarationError(f"{where}: its default cannot be stored: {error}") from error

    def check(self, value: Any) -> bytes:
        """The encoding of a value that has changed.

        Raises:
            BadState: it is not what the type hint says, or no JSON.
        """
        if self.exact is not None and type(value) is not self.exact:
            raise BadState(f"{self.where} is declared as {self.exact.__name__}, but was set to {value!r}")
        try:
            data = encode(value)
            if self.exact is None:
                if b"null" in data:
                    _refuse_nan(value, self.where)
                self.decode(data)
        except (TypeError, msgspec.ValidationError, OverflowError, UnicodeEncodeError) as error:
            raise BadState(f"{self.where} was set to what cannot be stored: {error}") from None
        return data


def _refuse_nan(value: Any, where: str) -> None:
    """JSON has no NaN and no infinity, and msgspec writes null for them: that would be a silent change."""
    if isinstance(value, float):
        if value - value != 0:
            raise BadState(f"{where} was set to {value!r}, which JSON cannot hold; use None or a text")
    elif isinstance(value, dict):
        for v in value.values():
            _refuse_nan(v, where)
    elif isinstance(value, list | tuple | set):
        for v in value:
            _refuse_nan(v, where)


class PlainFields:
    """The plain fields of one actor type."""

    def __init__(self, spec: ActorType) -> None:
        self.codecs = [
            FieldCodec(f, f"{spec.name}.{f.name}") for f in spec.fields.values() if f.kind == "plain"
        ]
        self.max_state = spec.max_state

    def load(self, attributes: dict[str, Any], encoded: Mapping[str, bytes]) -> None:
        """Fill an object's attributes.

        Raises:
            BadState: what is stored does not fit the type hint, as after a change of the code.
        """
        for codec in self.codecs:
            data = encoded.get(codec.name)
            if data is None:
                attributes[codec.name] = codec.field.initial()
                continue
            try:
                attributes[codec.name] = codec.decode(data)
            except msgspec.ValidationError as error:
                raise BadState(
                    f"{codec.where} is stored as {data[:80]!r}, which its type hint forbids ({error}): "
                    "widen the hint or migrate the state"
                ) from None

    def changes(
        self, attributes: dict[str, Any], before: dict[str, Any], encoded: dict[str, bytes]
    ) -> list[Change]:
        """What differs from `before` and `encoded`.

        Raises:
            BadState: a value that cannot be stored, or a field that was deleted.
            TooLarge: all fields together are over the limit.
        """
        patch: list[Change] = []
        for codec in self.codecs:
            name = codec.name
            try:
                value = attributes[name]
            except KeyError:
                raise BadState(f"{codec.where} was deleted: set it to a value instead") from None
            if value is before.get(name, patch) and type(value) in _IMMUTABLE:
                continue
            data = codec.check(value)
            if data != encoded.get(name, codec.initial):
                patch.append(Change(name, None, data))
        if (
            patch
            and sum(map(len, encoded.values())) + sum(len(c.value or b"") for c in patch) > self.max_state
        ):
            raise TooLarge(
                f"the plain fields have more than {self.max_state} bytes: use state_map or state_list for what grows"
            )
        return patch
