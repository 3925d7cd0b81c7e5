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
    "groups": {
        "join": ["choir --member singer/a", """choir --member singer/a --topics '["bass"]'"""],
        "leave": ["choir --member singer/a"],
        "members": ["choir", "choir --topic bass --limit 100"],
        "publish": ["""choir --payload '{"line": "la"}' --handler sing --topic bass"""],
    },
    "registry": {
        "register": ["""pay --address till/a --ttl 30 --labels '{"zone": "eu"}'"""],
        "heartbeat": ["pay --address till/a"],
        "lookup": ["pay", "pay --registry prod"],
        "discover": ["""--labels '{"zone": "eu"}' --prefix pay/"""],
        "watch": ["pay changed --to desk/1", "pay/ changed --to desk/1 --prefix --ttl 3600"],
    },
    "locks": {
        "acquire": ["nightly --holder $(hostname) --lease 600", "nightly --wait 30"],
        "renew": ["nightly 1790000000000000 --lease 600"],
        "release": ["nightly 1790000000000000"],
        "check": ["nightly 1790000000000000"],
        "status": ["nightly", "nightly --limit 10"],
    },
    "elections": {
        "campaign": ["primary --candidate db-1 --lease 10", "primary --candidate db-2 --wait null"],
        "renew": ["primary 1790000000000000 --lease 10"],
        "resign": ["primary 1790000000000000"],
        "leader": ["primary"],
        "watch": ["primary --known-term 1790000000000000 --wait 60"],
        "observe": ["primary led --to desk/1 --ttl 3600"],
        "unobserve": ["primary led --to desk/1"],
    },
    "pools": {
        "add": ["""gpus '["worker/1", "worker/2"]'"""],
        "remove": ["gpus worker/2"],
        "checkout": ["gpus --wait 30 --lease 300"],
        "checkin": ["gpus 1790000000000000", "gpus 1790000000000000 --no-healthy"],
        "mend": ["gpus worker/1"],
        "metrics": ["gpus"],
        "members": ["gpus --limit 100"],
    },
    "channels": {
        "publish": ["""news '{"rate": 1.08}' --topic rates.eur"""],
        "publish_many": ["news '[1, 2, 3]'"],
        "subscribe": [
            "news desk --to reader/desk --handler on_news --topic 'rates.*'", "news me --start start"
        ],
        "unsubscribe": ["news desk"],
        "fetch": ["news me --limit 10 --wait 20"],
        "commit": ["news me 17"],
        "status": ["news"],
        "subscribers": ["news"],
        "configure": ["news --count 10000 --age 3600", "news --out news"],
    },
    "queues": {
        "send": ["""jobs '{"order": 17}'""", """jobs '{"order": 18}' --delay 60 --wait 5"""],
        "send_many": ["jobs '[1, 2, 3]'"],
        "receive": ["jobs --limit 10 --wait 20", "jobs --visibility 300"],
        "ack": ["jobs 17-1", """jobs '["17-1", "18-1"]'"""],
        "nack": ["jobs 17-1 --delay 10"],
        "extend": ["jobs 17-1 60"],
        "depth": ["jobs"],
        "configure": ["jobs --bound 10000 --visibility 60 --attempts 3", "jobs --out jobs.sent"],
        "dead": ["jobs --limit 10"],
        "redrive": ["jobs '[17, 18]'"],
        "drop": ["jobs '[17]'"],
    },
    "shards": {
        "create": ["model slice 4", """users shard 3 --placement range --bounds '["h", "p"]'"""],
        "bulk_update": ["""model '{"w1": 0.5, "w2": -1}' apply"""],
        "map": ["model size"],
        "reduce": ["model weights --by merge"],
        "scatter_gather": ["model size --policy quorum --deadline 2"],
        "broadcast": ["model forget"],
        "barrier": ["model round 8 --wait 60"],
        "status": ["model"],
    },
}
