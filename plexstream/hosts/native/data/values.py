"""Values of users on their way into a record: kept as what they will be read back as, or refused.

The one place that encodes what users' code made. What it accepts is the same after any number of readings
and writings, and the same bytes on every machine: sets are in a fixed order. What JSON would change silently
(NaN, two keys with one text) or nobody could read (endless nesting) is an error of whoever wrote it.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import inspect as types

from plexstream.model.messages.text import said
from plexstream.model.process.compiled import WANTED
from plexstream.sdk.errors import DeclarationError

try:
    if not WANTED:
        raise ImportError
    from plexstream.hosts.native.data._plain import is_plain as is_plain
except ImportError:  # every value is looked at
    COMPILED = False

    def is_plain(value: object, limit: int, /) -> bool:
        return False

else:
    COMPILED = True


MAX_DEPTH = 200
"""How deep a value may be nested: whoever reads it, at whatever depth of calls, must be able to."""

_UNKNOWN = re.compile(r"Encoding objects of type (\w+) is unsupported")
_TO_BE_CALLED = ("function", "method", "builtin_function_or_method", "coroutine", "Handle")
_SCALARS = (int, str, bool)
_ATOMS = frozenset((int, str, bool, type(None)))
_SURE = (types.IntType, types.StrType, types.BoolType, types.NoneType, types.EnumType, types.LiteralType)

_encode = msgspec.json.Encoder(decimal_format="string", order=None).encode
encode_plain = _encode
"""Of what is plain: see `is_plain`."""


class BadValue(TypeError):
    """JSON, or the type hint, cannot hold it; the text says why."""


def encode_value(value: Any) -> bytes:
    """The JSON of a value whose type nobody declared. Raises BadValue."""
    try:
        return _encode(value if is_plain(value, MAX_DEPTH) else _fixed(value, 0))
    except Exception as error:
        raise _bad(error) from None


def plain_value(value: Any) -> Any:
    """A value of undeclared type as it will be read back, of dicts, lists and the like. Raises BadValue."""
    return msgspec.json.decode(encode_value(value))


class ValueCodec:
    """Values of one declared type.

    Attributes:
        exact: int, str or bool, where the hint is that and nothing else.
        runs_code: of users, whenever a value is read: a ``__post_init__`` or a converter.
        decode: what was sealed. Raises msgspec.ValidationError where the hint has changed since.
    """

    __slots__ = ("_sure", "decode", "exact", "runs_code")

    def __init__(self, annotation: Any, where: str) -> None:
        self.exact = annotation if annotation in _SCALARS else None
        try:
            self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(annotation).decode
            self.runs_code = any(map(_runs_code, check_hint(annotation)))
            self._sure = _is_sure(types.type_info(annotation))
        except Exception as error:
            raise DeclarationError(f"{where}: its type hint cannot be stored: {way_out(error)}") from error

    def seal(self, value: Any) -> tuple[bytes, Any]:
        """What is stored for a value, and the value as it will be read back. Raises BadValue."""
        given = value
        try:
            if self.exact is not None:
                if type(value) is not self.exact:
                    raise BadValue(f"{describe_value(value)} is no {self.exact.__name__}")
                return _encode(value), value
            value = self.decode(self.encode(value))
            data = self.encode(value)
            if self.runs_code and self.restored(data) != data:
                raise BadValue("it is another whenever it is read: __post_init__ or a converter changes it")
            return data, value
        except msgspec.ValidationError as error:
            raise BadValue(f"{error}; it is {describe_value(given)}") from None
        except Exception as error:
            raise _bad(error) from None

    def restored(self, data: bytes) -> bytes:
        """How a value is stored today that was stored as `data`, perhaps by other code. Raises BadValue."""
        try:
            return self.encode(self.decode(data))
        except Exception as error:
            raise _bad(error) from None

    def encode(self, value: Any) -> bytes:
        """The same bytes for the same value: they tell whether it was changed inside. Raises BadValue."""
        try:
            return _encode(value if self._sure or is_plain(value, MAX_DEPTH) else _fixed(value, 0))
        except Exception as error:
            raise _bad(error) from None


def describe_value(value: Any) -> str:
    """A value for an error's text, whatever its ``__repr__`` does."""
    try:
        return repr(value)[:200]
    except BaseException:
        return f"a {type(value).__name__}"


def _bad(error: Exception) -> BadValue:
    if isinstance(error, BadValue):
        return error
    if isinstance(error, RecursionError):
        return _too_deep()
    if isinstance(error, UnicodeEncodeError):
        return BadValue(f"a text has half of a surrogate pair: {error}")
    if isinstance(error, msgspec.MsgspecError | TypeError | OverflowError):
        return BadValue(f"{error}{_instead(str(error))}")
    return BadValue(said(error))


def _instead(error: str) -> str:
    """What to write where the encoder does not know a type."""
    found = _UNKNOWN.fullmatch(error)
    if found is None:
        return ""
    ways = {"StateMap": "write dict(…)", "StateList": "write list(…)", "generator": "write list(…)"}
    called = found[1] in _TO_BE_CALLED
    what = "it is to be called, or awaited: write …()" if called else "give a dict, a list, a dataclass, text"
    return f": {ways.get(found[1], what)}"


def _too_deep() -> BadValue:
    return BadValue(f"it is nested more than {MAX_DEPTH} deep, or contains itself")


def check_hint(annotation: Any) -> set[Any]:
    """The classes that a type hint names. Raises TypeError for one that nothing can be read back as."""
    seen: set[Any] = set()

    def look(info: Any) -> None:
        if isinstance(info, types.CustomType) and not _holds_json(info.cls):
            raise TypeError(
                f"nothing is read back as {info.cls!r}: use a dataclass, a TypedDict, or a type that JSON "
                "has, such as str, int, float, Decimal, datetime, list, dict"
            )
        cls = getattr(info, "cls", None)
        if cls in seen:
            return
        if cls is not None:
            seen.add(cls)
        for name in ("item_type", "key_type", "value_type", "type"):
            if isinstance(inner := getattr(info, name, None), types.Type):
                look(inner)
        for name in ("types", "item_types", "fields"):
            for inner in getattr(info, name, ()):
                look(inner)

    look(types.type_info(annotation))
    return seen


def way_out(error: Exception) -> str:
    """Why a type hint cannot be, and what to write: of several types nobody could tell which it is."""
    what = str(error)
    if "unions" in what:
        return f"{what}: write one type, Any, or tagged classes (msgspec.Struct, tag=True)"
    return what if "nothing is read back" in what else f"{what}: use a dataclass, or a type that JSON has"


def _runs_code(cls: Any) -> bool:
    """Whether code of a class's own runs whenever one is read."""
    own = any(hasattr(cls, name) for name in ("__post_init__", "__attrs_post_init__"))
    return own or any(a.converter is not None for a in getattr(cls, "__attrs_attrs__", ()))


def _holds_json(cls: Any) -> bool:
    """Whether a class is above one that JSON is read as, like `object`."""
    try:
        return any(issubclass(kind, cls) for kind in (dict, list, str, int, float, bool, type(None)))
    except TypeError:
        return False


def _is_sure(info: types.Type) -> bool:
    """Whether every value of a type encodes to the same bytes on each machine, and none to another value."""
    if isinstance(info, _SURE):
        return True
    if isinstance(info, types.ListType | types.VarTupleType):
        return _is_sure(info.item_type)
    if isinstance(info, types.TupleType):
        return all(_is_sure(t) for t in info.item_types)
    if isinstance(info, types.UnionType):
        return all(_is_sure(t) for t in info.types)
    if isinstance(info, types.DictType):
        return isinstance(info.key_type, types.StrType) and _is_sure(info.value_type)
    return False  # floats may be NaN, sets have no order, classes may hold anything


def _fixed(value: Any, depth: int) -> Any:
    """`value` with its sets in a fixed order; itself, where there are none. Raises BadValue."""
    kind = type(value)
    if kind in _ATOMS:
        return value
    if kind is float:
        if value - value != 0:
            raise BadValue(f"{value!r} is no number that JSON can hold; use None or a text")
        return value
    if depth >= MAX_DEPTH:
        raise _too_deep()
    if kind is dict or isinstance(value, dict):
        return _fixed_dict(value, depth + 1)
    if kind is list or kind is tuple or isinstance(value, list | tuple):
        return _fixed_items(value, depth + 1)
    if isinstance(value, set | frozenset):
        return _in_order([_fixed(item, depth + 1) for item in value])
    if isinstance(value, enum.Enum):
        _fixed(value.value, depth + 1)
        return value
    inside = {name: getattr(value, name) for name in _attributes(value)}
    changed = {n: new for n, item in inside.items() if (new := _fixed(item, depth + 1)) is not item}
    if dataclasses.is_dataclass(value) and (own := getattr(value, "__dict__", inside)) is not inside:
        # Read from what lacks them, its defaults are those of the class, which the encoder leaves out.
        changed |= {name: inside[name] for name in inside if name not in own and name not in changed}
    return _with(value, changed) if changed else value


def _with(value: Any, changed: dict[str, Any]) -> Any:
    """A copy of an object that only the encoder sees: what it holds need not be of its types."""
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(value, **changed)
    twin = copy.copy(value)
    for name, item in changed.items():
        object.__setattr__(twin, name, item)  # frozen ones, too
    return twin


def _fixed_items(value: Sequence[Any], depth: int) -> Sequence[Any]:
    copied: list[Any] | None = None
    for place, item in enumerate(value):
        if type(item) not in _ATOMS and (new := _fixed(item, depth)) is not item:
            if copied is None:
                copied = list(value)
            copied[place] = new
    return value if copied is None else copied


def _fixed_dict(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    copied: dict[Any, Any] | None = None
    texts_only = True
    for key, item in value.items():
        if type(key) is not str:
            texts_only = False
        if type(item) not in _ATOMS and (new := _fixed(item, depth)) is not item:
            if copied is None:
                copied = dict(value)
            copied[key] = new
    if not texts_only:
        _check_keys(value)
    return value if copied is None else copied


def _check_keys(value: dict[Any, Any]) -> None:
    texts: dict[bytes, Any] = {}
    for key in value:
        if isinstance(key, float):
            _fixed(key, 0)
        other = texts.setdefault(_encode({key: None}), key)
        if other is not key:
            raise BadValue(f"the keys {other!r} and {key!r} are the same text in JSON; keep one of them")


def _in_order(items: list[Any]) -> list[Any]:
    if all(type(item) is str for item in items) or all(type(item) in (int, float) for item in items):
        return sorted(items)
    return [msgspec.Raw(data) for data in sorted(map(_encode, items))]


def _attributes(value: Any) -> tuple[str, ...]:
    if isinstance(value, msgspec.Struct):
        return value.__struct_fields__
    if dataclasses.is_dataclass(value):
        return tuple(f.name for f in dataclasses.fields(value))
    return tuple(a.name for a in getattr(type(value), "__attrs_attrs__", ()))
