"""The flat calls of the PlexSpaces dialect: texts of JSON in, texts out; "" for nothing, ``ERROR:`` for a no.

What is given as a list instead of its JSON is answered as one.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.nouns import Nouns
from plexstream.sdk.host.coordination.operation import Call, Operation, actor_id, steps_of

if TYPE_CHECKING:
    from plexstream.sdk.host.coordination.kept.blobs import Blobs
    from plexstream.sdk.host.coordination.kept.spaces import TupleSpaces

_FORMS = {
    "lock_acquire": (
        "name, lease_ms, timeout_ms=0", "tenant, namespace, holder, lock, lease_seconds, timeout_ms"
    ),
    "lock_renew": ("name, version, lease_ms", "lock, tenant, namespace, holder, version, lease_seconds"),
    "lock_release": ("name, version", "lock, tenant, namespace, holder, version"),
}
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Flat(Nouns):
    """The part of `host` that programs of that dialect call. Nothing else needs it."""

    def self_id(self) -> str:
        raise NotImplementedError

    @property
    def blobs(self) -> Blobs:
        raise NotImplementedError

    # Tuple space

    def ts_write(self, tuple: Any) -> Any:
        """Write a tuple."""
        return self._operate(self._written(_read("ts_write", tuple)))

    def ts_read(self, pattern: Any) -> Any:
        """A tuple that matches; "" for none."""
        return self._found(pattern, "ts_read", lambda ts: ts.read)

    def ts_take(self, pattern: Any) -> Any:
        """Take a tuple out that matches; "" for none."""
        return self._found(pattern, "ts_take", lambda ts: ts.take)

    def ts_read_all(self, pattern: Any) -> Any:
        """All tuples that match."""
        return self._found(pattern, "ts_read_all", lambda ts: ts.read_all)

    def _found(self, pattern: Any, what: str, pick: Callable[[TupleSpaces], Any]) -> Any:
        wanted = _read(what, pattern)
        steps = steps_of(pick(self.ts))(wanted)
        return self._operate(_as_text(steps) if isinstance(pattern, str) else steps)

    def _written(self, tuple: Any) -> Operation[str]:
        yield from steps_of(self.ts.write)(tuple)
        return ""

    # Keys and values

    def kv_get(self, key: str) -> Any:
        """The value of a key; "" for none."""
        return self._operate(self._kv_get(key))

    def kv_put(self, key: str, value: Any) -> Any:
        """Set the value of a key."""
        return self._operate(_nothing(steps_of(self.kv.put)(key, value)))

    def kv_delete(self, key: str) -> Any:
        """Delete a key."""
        return self._operate(_nothing(steps_of(self.kv.delete)(key)))

    def kv_list(self, prefix: str = "") -> Any:
        """The keys that begin with `prefix`, as the JSON of a list."""
        return self._operate(_as_text(self._kv_list(prefix)))

    def _kv_get(self, key: str) -> Operation[Any]:
        return (yield from steps_of(self.kv.get)(key, ""))

    def _kv_list(self, prefix: str) -> Operation[list[str]]:
        keys: list[str] = []
        while page := (yield from steps_of(self.kv.list)(prefix, keys[-1] if keys else "")):
            keys += page
        return keys

    # Process groups

    def pg_join(self, group: str) -> Any:
        """Let this actor be a member of a group."""
        return self._operate(_nothing(steps_of(self.process_groups.group(group).join)(self.self_id())))

    def pg_leave(self, group: str) -> Any:
        """Let this actor be a member no more."""
        return self._operate(_nothing(steps_of(self.process_groups.group(group).leave)(self.self_id())))

    def pg_members(self, group: str) -> Any:
        """The members of a group, as the JSON of a list."""
        return self._operate(_as_text(self._members(group)))

    def pg_broadcast(self, group: str, msg_type: str, payload: Any = None) -> Any:
        """Send the members of a group, but this actor, a message: its handler, its arguments as JSON."""
        said = _read("pg_broadcast", payload) if payload else {}
        publish = steps_of(self.process_groups.group(group).publish)
        return self._operate(_nothing(publish(said, msg_type, "", self.self_id())))

    def _members(self, group: str) -> Operation[list[str]]:
        found: list[str] = []
        members = steps_of(self.process_groups.group(group).members)
        while page := (yield from members("", found[-1] if found else "")):
            found += page
        return found

    # Locks

    def lock_acquire(self, *given: Any) -> Any:
        """Acquire a lock: by its name and lease in ms, or by tenant, namespace, holder, lock, lease, timeout.

        That of a namespace is the lock ``namespace/lock``. Tenants are told apart as everywhere.

        Parameters:
            given: ``(name, lease_ms[, timeout_ms])``: the answer is its version, "" where another one has it.
                Or ``(tenant, namespace, holder, lock, lease_seconds, timeout_ms)``: it is the JSON of that.
        """
        if len(given) == 6:
            _, namespace, holder, lock, lease, timeout = given
            return self._operate(_held(_lock(namespace, lock), holder, float(lease), timeout / 1000))
        name, lease, timeout = (*given, 0)[:3] if len(given) in (2, 3) else _wrong("lock_acquire")
        seconds = (_s("lock_acquire", given) for given in (lease, timeout))
        return self._operate(_version(name, self.self_id(), *seconds))

    def lock_renew(self, *given: Any) -> Any:
        """Renew it: ``(name, version, lease_ms)``, or lock, tenant, namespace, holder, version, seconds."""
        if len(given) == 6:
            lock, _, namespace, _, version, lease = given
            return self._operate(_kept(_lock(namespace, lock), "renew", version, lease=float(lease)))
        name, version, lease = given if len(given) == 3 else _wrong("lock_renew")
        return self._operate(_kept(name, "renew", version, lease=_s("lock_renew", lease)))

    def lock_release(self, *given: Any) -> Any:
        """Release it: ``(name, version)``, or ``(lock, tenant, namespace, holder, version)``."""
        if len(given) == 5:
            lock, _, namespace, _, version = given
            return self._operate(_kept(_lock(namespace, lock), "release", version))
        name, version = given if len(given) == 2 else _wrong("lock_release")
        return self._operate(_kept(name, "release", version))

    # Pools

    def pool_checkout(self, pool: str, timeout_ms: float = 0) -> Any:
        """Borrow a member: the JSON of ``checkout_id`` and ``actor_id``; "": not in time."""
        return self._operate(_borrowed(steps_of(self.pools.pool(pool).checkout)(timeout_ms / 1000)))

    def pool_checkin(self, pool: str, actor_id: str, checkout_id: str, healthy: bool = True) -> Any:
        """Give a member back."""
        return self._operate(_refusable(self._checked_in(pool, checkout_id, healthy)))

    def pool_get_metrics(self, pool: str) -> Any:
        """How a pool is, as JSON."""
        return self._operate(_as_text(steps_of(self.pools.pool(pool).metrics)()))

    def _checked_in(self, pool: str, checkout_id: str, healthy: bool) -> Operation[None]:
        yield from steps_of(self.pools.pool(pool).checkin)(_number("a checkout", checkout_id), healthy)

    # Blobs

    def blob_upload(self, id: str, data_b64: str, content_type: str = "application/octet-stream") -> Any:
        """Put bytes, given in base64, under a name."""
        return self._operate(_nothing(steps_of(self.blobs.upload)(id, b64decode(data_b64), content_type)))

    def blob_download(self, id: str) -> Any:
        """The bytes of a blob, in base64; "" for none."""
        return self._operate(_in_base64(steps_of(self.blobs.download)(id)))

    def blob_delete(self, id: str) -> Any:
        """Take the name of a blob away."""
        return self._operate(_nothing(steps_of(self.blobs.delete)(id)))

    def blob_list(self, prefix: str = "") -> Any:
        """The names of blobs that begin with `prefix`, as the JSON of a list."""
        return self._operate(_as_text(self._names(prefix)))

    def _names(self, prefix: str) -> Operation[list[str]]:
        names: list[str] = []
        while page := (yield from steps_of(self.blobs.list)(prefix, names[-1] if names else "")):
            names += [blob.name for blob in page]
        return names


def _lock(namespace: str, name: str) -> str:
    return f"{namespace.replace('%', '%25').replace('/', '%2F')}/{name}" if namespace else name


def _s(what: str, ms: Any) -> float:
    return _wrong(what) if isinstance(ms, bool) or not isinstance(ms, int | float) else ms / 1000


def _wrong(what: str) -> Any:
    forms = " or ".join(f"host.{what}({form})" for form in _FORMS[what])
    raise TypeError(f"host.{what} is called in one of two ways: {forms}; times in ms are numbers")


def _acquired(name: str, holder: str, lease: float, wait: float) -> Operation[Any]:
    arguments = {"holder": holder, "lease": lease, "wait": wait}
    return (yield Call("plex.lock", actor_id(name), "acquire", arguments, wait))


def _version(name: str, holder: str, lease: float, wait: float) -> Operation[str]:
    grant = yield from _acquired(name, holder, lease, wait)
    return "" if grant is None else str(grant["token"])


def _held(name: str, holder: str, lease: float, wait: float) -> Operation[str]:
    grant = yield from _acquired(name, holder, lease, wait)
    if grant is None:
        return ""
    return _dumps(
        {
            "lock_key": name, "version": str(grant["token"]), "holder_id": grant["holder"], "locked": True,
            "lease_duration_secs": lease, "expires_at_ms": grant["due"],
        }
    )  # fmt: skip


def _kept(name: str, what: str, version: Any, **more: Any) -> Operation[str]:
    return (yield from _refusable(_told(name, what, version, more)))


def _told(name: str, what: str, version: Any, more: dict[str, Any]) -> Operation[None]:
    yield Call("plex.lock", actor_id(name), what, {"token": _number("a lock", version), **more})


def _refusable(steps: Operation[Any]) -> Operation[str]:
    """What is refused is a text of that dialect, and no error."""
    try:
        yield from steps
    except Exception as error:
        if not isinstance(error, Reject) and getattr(error, "code", "") != "rejected":
            raise
        return f"ERROR:{error}"
    return ""


def _number(what: str, text: Any) -> int:
    try:
        return int(text)
    except (TypeError, ValueError):
        raise Reject(f"{text!r:.80} is no version of {what}") from None


def _borrowed(steps: Operation[Any]) -> Operation[str]:
    found = yield from steps
    return "" if found is None else _dumps({"checkout_id": str(found.checkout), "actor_id": found.member})


def _in_base64(steps: Operation[Any]) -> Operation[str]:
    found = yield from steps
    return "" if found is None else b64encode(found).decode()


def _read(what: str, given: Any) -> Any:
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given)
    except ValueError as error:
        raise ValueError(f"host.{what}: {given[:80]!r} is no JSON: {error}") from None


def _as_text(steps: Operation[Any]) -> Operation[str]:
    found = yield from steps
    return "" if found is None else _dumps(found)


def _nothing(steps: Operation[Any]) -> Operation[str]:
    yield from steps
    return ""
