"""Plain fields: compared after each turn instead of watched, so that handlers touch ordinary attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from plexstream.hosts.native.data.values import BadValue, ValueCodec, describe_value, encode_value
from plexstream.model.errors import TooLarge
from plexstream.model.journal.journal import Change
from plexstream.model.messages.text import said
from plexstream.model.process.alike import Alike
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.spec import ActorType, Field

# For these `is` tells that nothing has changed; anything else may have been changed inside.
_IMMUTABLE = frozenset((int, str, bool, float, type(None), bytes))

_new = tuple.__new__  # a named tuple's own costs twice the time
_encode = msgspec.json.encode


class BadState(TypeError):
    """A state field got a value that its type hint or JSON does not allow."""


def why(error: Exception) -> str:
    """Why a value cannot be read back, for an error's text."""
    return str(error) if isinstance(error, msgspec.ValidationError) else said(error)


class _Other:
    """The type of no value."""


class FieldCodec:
    """One plain field: its name, its initial value, how it is checked and read back."""

    __slots__ = (
        "_as_it_is", "_values", "decode", "exact", "field", "initial", "name", "number", "restored",
        "runs_code", "where",
    )  # fmt: skip

    def __init__(self, field: Field, where: str) -> None:
        self.name = field.name
        self.field = field
        self.where = where
        self._values = ValueCodec(field.annotation, where)
        self.exact = self._values.exact
        self.number = self.exact in (int, bool)  # any value of the right type can be stored
        self.decode = self._values.decode
        self.runs_code = self._values.runs_code
        self.restored = self._values.restored
        try:
            initial = field.initial()
        except Exception as error:
            raise DeclarationError(f"{where}: its default_factory raised {said(error)}") from error
        self._as_it_is = type(initial)
        try:
            self.initial, value = self._values.seal(initial)
            if type(value) is not type(initial):
                self._as_it_is = _Other
        except BadValue as error:
            if initial is not None:  # that may be what the hint leaves out, and is set later
                raise DeclarationError(f"{where}: its default cannot be stored: {error}") from None
            self.initial = encode_value(initial)

    def fresh(self) -> Any:
        """The value in a new actor, as it would be read back: of a Decimal whose default is 0, a Decimal."""
        value = self.field.initial()
        kind = type(value)
        if kind is self._as_it_is and (kind in _IMMUTABLE or not value):
            return value
        try:
            return self._values.seal(value)[1]
        except BadValue:  # told where it is to be stored
            return value

    def seal(self, value: Any) -> tuple[bytes, Any]:
        """The encoding of a value that may have changed, and the value as it will be read back.

        Raises:
            BadState: it is not what the type hint says, or no JSON.
        """
        if self.exact is not None and type(value) is not self.exact:
            raise BadState(
                f"{self.where} is declared as {self.exact.__name__}, but was set to {describe_value(value)}"
            )
        try:
            return self._values.seal(value)
        except BadValue as error:
            raise BadState(f"{self.where} was set to what cannot be stored: {error}") from None


class PlainFields:
    """The plain fields of one actor type."""

    def __init__(self, spec: ActorType) -> None:
        self.codecs = [
            FieldCodec(f, f"{spec.name}.{f.name}") for f in spec.fields.values() if f.kind == "plain"
        ]
        self.names = frozenset(codec.name for codec in self.codecs)
        self.encoded = Alike()  # makes what has their bytes
        self.composed = frozenset(codec.name for codec in self.codecs if codec.exact is None)
        self.max_state = spec.max_state

    def load(self, attributes: dict[str, Any], encoded: Mapping[str, bytes]) -> None:
        """Fill an object's attributes.

        Raises:
            BadState: what is stored does not fit the type hint, as after a change of the code.
        """
        for codec in self.codecs:
            self.load_one(codec, attributes, encoded)

    @staticmethod
    def load_one(codec: FieldCodec, attributes: dict[str, Any], encoded: Mapping[str, bytes]) -> None:
        """The same for one field."""
        data = encoded.get(codec.name)
        if data is None:
            attributes[codec.name] = codec.fresh()
            return
        try:
            attributes[codec.name] = codec.decode(data)
        except Exception as error:  # a __post_init__ raises what it likes
            stored = data[:80].decode(errors="replace")
            raise BadState(
                f"{codec.where} is stored as {stored}, which its type hint forbids ({why(error)}): "
                "widen the hint, or set the field in a @migrate hook, which is given what is stored"
            ) from None

    def changes(
        self, attributes: dict[str, Any], before: dict[str, Any], encoded: dict[str, bytes], total: int,
        foreign: set[str],
    ) -> tuple[list[Change], list[Any], int, list[tuple[str, bytes, Any]] | None]:  # fmt: skip
        """What differs from `before` and `encoded`, the new values as they will be read back, their bytes.

        At last the fields that may be other objects than what they are stored as is read back as: a text of
        the same JSON as a Decimal, a list that is somebody else's. Their name, encoding and value.

        `total` are the bytes of `encoded`. `foreign` names fields that other code may have stored: where they
        seem to differ, `encoded` is made what this code would have stored, and the name is taken out.

        Raises:
            BadState: a value that cannot be stored, or a field that was deleted.
            TooLarge: all fields together are over the limit.
        """
        patch: list[Change] = []
        values: list[Any] = []
        size = 0
        alike: list[tuple[str, bytes, Any]] | None = None
        for codec in self.codecs:
            name = codec.name
            try:
                value = attributes[name]
            except KeyError:
                raise BadState(f"{codec.where} was deleted: set it to a value instead") from None
            if value is before.get(name, patch) and type(value) in _IMMUTABLE:
                continue
            if codec.number and type(value) is codec.exact:
                data = _encode(value)
            else:
                data, value = codec.seal(value)
            stored = encoded.get(name, codec.initial)
            if data != stored and name in foreign:
                foreign.discard(name)
                stored = encoded[name] = codec.restored(stored)
            if data != stored:
                patch.append(_new(Change, (name, None, data)))
                values.append(value)
                size += len(data)
            elif codec.exact is None:
                if alike is None:
                    alike = []
                alike.append((name, data, value))
        if size + total > self.max_state and patch:
            self._check_size(encoded, patch)  # what is replaced was counted twice
        return patch, values, size, alike

    def _check_size(self, encoded: dict[str, bytes], patch: list[Change]) -> None:
        sizes = {name: len(data) for name, data in encoded.items()}
        sizes.update({c.field: len(c.value or b"") for c in patch})
        if sum(sizes.values()) > self.max_state:
            largest = max(sizes, key=lambda name: sizes[name])
            raise TooLarge(
                f"the plain fields have {sum(sizes.values())} bytes, most of them in {largest}, and at most "
                f"{self.max_state} are allowed: use state_map or state_list for what grows"
            )
