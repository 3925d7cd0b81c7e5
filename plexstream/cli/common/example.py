"""A value of a type, for calls to try."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

from msgspec import inspect as types

from plexstream.sdk.spec import Handler

_DEEPEST = 8
_PLAIN: dict[type[types.Type], Any] = {
    types.IntType: 1,
    types.FloatType: 1.5,
    types.BoolType: True,
    types.StrType: "text",
    types.BytesType: "dGV4dA==",
    types.ByteArrayType: "dGV4dA==",
    types.NoneType: None,
    types.DecimalType: "1.50",
    types.DateTimeType: "2030-01-31T12:00:00Z",
    types.DateType: "2030-01-31",
    types.TimeType: "12:00:00",
    types.TimeDeltaType: "PT1H",
    types.UUIDType: "00000000-0000-4000-8000-000000000000",
    types.SetType: [],
    types.FrozenSetType: [],
    types.ListType: [],
    types.VarTupleType: [],
    types.DictType: {},
    types.AnyType: "text",
}


def arguments(handler: Handler) -> dict[str, Any] | None:
    """A value for each parameter that must be given, by its type hint; None where these would be refused."""
    from plexstream.hosts.native.data.arguments import binder
    from plexstream.hosts.native.data.values import encode_value

    function = handler.function
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        plain = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        given = {p.name: of_hint(hints.get(p.name, Any)) for p in plain if p.default is p.empty}
        binder(function, handler.name)(encode_value(given))
    except Exception:  # whatever a hint refers to, or forbids: this is only an example
        return None
    return given


def of_hint(hint: Any) -> Any:
    """A JSON value of a type hint. Raises TypeError for one that has none."""
    return _of(types.type_info(hint), 0)


def _of(info: types.Type, depth: int) -> Any:
    if depth > _DEEPEST:
        raise TypeError("it has no end")
    if isinstance(info, types.Metadata):
        return _of(info.type, depth)
    if isinstance(info, types.EnumType):
        return next(iter(info.cls)).value
    if isinstance(info, types.LiteralType):
        return info.values[0]
    if isinstance(info, types.UnionType):
        return _of(next(t for t in info.types if not isinstance(t, types.NoneType)), depth + 1)
    if isinstance(info, types.TupleType):
        return [_of(t, depth + 1) for t in info.item_types]
    if isinstance(info, types.StructType | types.DataclassType | types.TypedDictType | types.NamedTupleType):
        found = {f.encode_name: _of(f.type, depth + 1) for f in info.fields if f.required}
        if isinstance(info, types.StructType) and info.tag_field is not None:
            found = {info.tag_field: info.tag, **found}
        as_list = isinstance(info, types.NamedTupleType) or getattr(info, "array_like", False)
        return list(found.values()) if as_list else found
    if type(info) in (types.IntType, types.FloatType):
        return _number(info)
    return _PLAIN[type(info)]


def _number(info: Any) -> Any:
    """One within its bounds."""
    value = _PLAIN[type(info)]
    if info.ge is not None or info.gt is not None:
        least = info.ge if info.ge is not None else info.gt + 1
        value = max(value, least)
    if info.le is not None or info.lt is not None:
        value = min(value, info.le if info.le is not None else info.lt - 1)
    return value
