"""Which requests are answered at all: not those that a web page makes behind its reader's back.

On loopback there is no authentication but that nobody else can connect. A browser can, for any page: by a
post across sites, or by a name of the page's own that suddenly means 127.0.0.1 (DNS rebinding). So there
the names in ``Host`` and ``Origin`` must be this server's. And whatever changes something needs a content
type, or another header, that a page cannot send to another site without being allowed to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from plexstream.edge.http.problems import Problem

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""The last two a page may use on another site only once that has said so, which this server does not."""
_JSON = frozenset(
    {b"application/json", b"application/x-ndjson", b"application/ndjson", b"application/jsonl"}
)
_NOT_OF_PAGES = frozenset({b"idempotency-key", b"x-request-id"})
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([^\[\]:]+))(?::[0-9]{0,5})?")
_SECRET_IN_PATH = b"/v1/awakeables/"
"""A webhook sends whatever type it likes; the id that it knows is a secret."""


class Guard:
    """Checks requests before anything is done for them.

    Parameters:
        host: the address that is listened on.
        hosts: more names that may be in ``Host``. Where there are any, or `host` is a loopback address,
            others are refused.
        origins: pages that may call from elsewhere, as in ``https://example.com``.
    """

    def __init__(self, host: str, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = frozenset(name.lower() for name in hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._strict = bool(self._hosts) or is_loopback(host)
        self._known: dict[bytes, bool] = {}

    def check(self, scope: Mapping[str, Any]) -> Problem | None:
        """Raises Problem for a request that must not be answered: 400, 403.

        Returns a 415 for one that may be a page's, if there is anything that takes its method.
        """
        host = origin = media = None
        own = False
        for name, value in scope["headers"]:
            if name == b"host":
                if host is not None:
                    raise Problem(400, "bad_request", "there are two Host headers: send one")
                host = value
            elif name == b"origin":
                if origin is not None:
                    raise Problem(400, "bad_request", "there are two Origin headers: send one")
                origin = value
            elif name == b"content-type":
                media = value
            elif name in _NOT_OF_PAGES:
                own = True
        if host is None and scope["http_version"] != "1.0":
            raise Problem(400, "bad_request", "there is no Host header, which HTTP/1.1 requires: send one")
        if self._strict:
            if host is not None and not self._is_ours(host):
                raise Problem(
                    403, "forbidden_host",
                    f"Host {_shown(host)} is no name of this server: use localhost or 127.0.0.1, or add the "
                    "name to hosts in [http] of plexstream.toml",
                )  # fmt: skip
            if origin is not None and not self._is_same(origin, host):
                raise Problem(
                    403, "forbidden_origin",
                    f"a page of {_shown(origin)} may not call this server: add it to origins in [http] of "
                    "plexstream.toml if it may",
                )  # fmt: skip
        if scope["method"] in _SAFE or own or (media is not None and is_json(media)):
            return None
        if scope["raw_path"].startswith(_SECRET_IN_PATH):
            return None
        what = "no Content-Type" if media is None else f"Content-Type {_shown(media)}"
        return Problem(
            415, "unsupported_media_type",
            f"{what}: send `Content-Type: application/json` (curl: --json), or an Idempotency-Key or "
            "X-Request-Id header, so that it is known not to come from a web page",
        )  # fmt: skip

    def serves(self, host: bytes) -> bool:
        """Whether requests for this name are answered, as far as the name goes."""
        return not self._strict or self._is_ours(host)

    def _is_ours(self, host: bytes) -> bool:
        known = self._known.get(host)
        if known is None:
            name = _name(host)
            known = name in self._hosts or is_loopback(name)
            if len(self._known) < 1000:
                self._known[host] = known
        return known

    def _is_same(self, origin: bytes, host: bytes | None) -> bool:
        text = origin.decode("latin-1").lower()
        if text in self._origins:
            return True
        try:
            of = urlsplit(text)
        except ValueError:
            return False
        return of.scheme in ("http", "https") and host is not None and of.netloc.encode() == host.lower()


def is_loopback(name: str) -> bool:
    """Whether a host's name or address is this machine's own, and nobody else's."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _name(host: bytes) -> str:
    """The name in a Host header, without the port; empty where it is none."""
    found = _HOST.fullmatch(host.decode("latin-1").strip().lower())
    return found[1] or found[2] if found else ""


def is_json(media: bytes) -> bool:
    """Whether a content type is one that no page can send to another site without being allowed to."""
    if media in _JSON:
        return True
    kind = media.partition(b";")[0].strip().lower()
    return kind in _JSON or (kind.startswith(b"application/") and kind.endswith(b"+json"))


def _shown(value: bytes) -> str:
    return repr(value[:80].decode("latin-1"))
