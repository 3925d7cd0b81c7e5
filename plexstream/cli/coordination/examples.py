"""Examples of commands, by noun and operation: what is behind ``plexstream NOUN OPERATION``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXAMPLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "kv": {
        "get": ["rate/eur", "rate/eur --name prices"],
        "put": ["rate/eur 1.08", """order/17 '{"state": "paid"}' --ttl 3600"""],
        "cas": ["rate/eur 1.09 --version 4"],
        "list": ["--prefix rate/ --limit 100"],
        "increment": ["visits --by 2"],
        "multi_get": ["""'["a", "b"]'"""],
        "multi_put": ["""'{"a": 1, "b": 2}'"""],
    },
}
