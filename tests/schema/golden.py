"""One record of every kind with every field filled, and its bytes."""

FILLED = {
    "Envelope": {
        "kind": 1,
        "id": "i",
        "target": "a/b/c/d",
        "handler": "h",
        "payload": b"{}",
        "sender": "s",
        "reply_to": "r",
        "idempotency_key": "k",
        "time": 1732291486123,
        "headers": {"a": "b"},
        "origin": "o",
        "origin_seq": 5,
        "origin_index": 1,
    },
    "Turn": {
        "claim": 3,
        "actor": "a/b/c/d",
        "seq": 1,
        "cause_topic": "mailbox",
        "cause_offset": 7,
        "time": 1732291486123,
        "status": 0,
        "fresh": True,
        "idempotency_key": "k",
        "patch": [{"field": "f", "key": None, "value": b"1"}, {"field": "g", "key": "k", "value": None}],
        "handler": "h",
        "message_id": "m",
        "sender": "s",
        "cause_kind": 1,
        "cause_origin": "o",
        "cause_seq": 9,
        "cause_index": 2,
        "outs": [
            {
                "kind": 2,
                "id": "m",
                "target": "e",
                "handler": "",
                "payload": b"{}",
                "key": "k",
                "note": "n",
                "due": 5,
            }
        ],
        "ordinal": 12,
    },
    "Step": {
        "claim": 3,
        "actor": "a/b/c/d",
        "seq": 1,
        "cause_topic": "mailbox",
        "cause_offset": 7,
        "time": 1732291486123,
        "status": 0,
        "fresh": True,
        "idempotency_key": "k",
        "patch": [{"field": "f", "key": None, "value": b"1"}, {"field": "g", "key": "k", "value": None}],
        "handler": "h",
        "message_id": "m",
        "sender": "s",
        "cause_kind": 1,
        "cause_origin": "o",
        "cause_seq": 9,
        "cause_index": 2,
        "outs": [
            {
                "kind": 2,
                "id": "m",
                "target": "e",
                "handler": "",
                "payload": b"{}",
                "key": "k",
                "note": "n",
                "due": 5,
            }
        ],
        "invocation": 1,
        "number": 2,
        "next": 7,
        "begin": {
            "kind": 1,
            "id": "m",
            "handler": "h",
            "payload": b"{}",
            "sender": "s",
            "reply_to": "r",
            "idempotency_key": "k",
            "time": 1732291486123,
            "chain": "a/b/c/d#1",
            "base": [{"field": "f", "key": None, "value": b"1"}],
        },
        "commands": [{"number": 0, "kind": 2, "name": "", "due": 1732291486123}],
        "completions": [{"number": 0, "failed": False, "value": b"null"}],
        "ordinal": 13,
    },
    "Claim": {"token": "t", "node": "n", "time": 1732291486123, "code": {"a": "1"}, "process": "p"},
    "Mark": {
        "claim": 3,
        "time": 1732291486123,
        "relayed": 4,
        "emitted": 5,
        "attempt": -1,
        "timer": "a#1.0",
        "release": True,
        "alive": "p",
        "ordinal": 14,
        "inboxes": [
            {
                "topic": "mailbox",
                "low": 1,
                "next": 5,
                "done": [2, 3],
                "origins": [{"origin": "o", "seq": 1, "item": 2}],
                "spans": [{"first": 2, "end": 4}],
            }
        ],
    },
    "Partition": {
        "start": 9,
        "floor": 8,
        "unsaved": 7,
        "claims": [3, 5],
        "relayed": 4,
        "emitted": 5,
        "crashes": 1,
        "turns": 2,
        "released": False,
        "attempt": -1,
        "attempts": 0,
        "timer": "a#1.0",
        "timer_attempts": 2,
        "deaths": ["p"],
        "attempt_by": ["p", "q"],
        "timer_by": ["q"],
        "process": "r",
        "ordinal": 15,
        "unread": 1,
        "uncounted": [{"first": 4, "end": 6}],
        "inboxes": [
            {
                "topic": "mailbox",
                "low": 1,
                "next": 5,
                "done": [2],
                "origins": [{"origin": "o", "seq": 1, "item": 2}],
                "spans": [{"first": 2, "end": 4}],
            }
        ],
    },
    "Snapshot": {
        "kind": 1,
        "address": "a/b/c/d",
        "name": "f",
        "key": "k",
        "offset": 7,
        "seq": 2,
        "time": 1732291486123,
        "data": b"1",
    },
    "DeadLetter": {
        "id": "i",
        "target": "a/b/c/d",
        "sender": "s",
        "handler": "h",
        "payload": b"{}",
        "reason": "failed",
        "detail": "d",
        "attempts": 5,
        "cause_topic": "mailbox",
        "cause_offset": 7,
        "time": 1732291486123,
        "origin": "journal/0",
        "origin_seq": 9,
        "origin_index": 0,
    },
    "TupleSpace": {
        "number": 7,
        "op": "in",
        "entry": 3,
        "tuple": '["a",1]',
        "due": 1732291486123,
        "by": "a/b/c/d",
        "for_whom": "s",
        "time": 1732291486124,
    },
}
GOLDEN = {
    "Claim": ("c3018c9efd5492c14ce00274026ed686f3c9ea640202610231000270"),
    "DeadLetter": (
        "c301e5e6e439a671f54a02690e612f622f632f6402730268047b7d0c6661696c656402640a0e6d61696c626f780ed686"
        "f3c9ea64126a6f75726e616c2f301200"
    ),
    "Envelope": (
        "c301b3c0217fab19279c0202690e612f622f632f640268047b7d02730272026bd686f3c9ea64020261026200026f0a02"
    ),
    "Mark": (
        "c30127b6a380c5049d1c06d686f3c9ea64020e6d61696c626f78020a0404060002026f0204000204080000080a010a61"
        "23312e300102701c"
    ),
    "Partition": (
        "c301e594462d18a32abc12100e04060a00020e6d61696c626f78020a02040002026f0204000204080000080a02040001"
        "000a6123312e3004020270000402700271000202710002721e0202080c00"
    ),
    "Snapshot": ("c30113309c0ca02746bc020e612f622f632f64026602026b0e04d686f3c9ea640231"),
    "Step": (
        "c30157e2c2fcdd8651d4060e612f622f632f64020e6d61696c626f780ed686f3c9ea640001026b040266000202310267"
        "02026b00000268026d027302026f12040204026d026500047b7d026b026e0a0002040e0202026d0268047b7d02730272"
        "026bd686f3c9ea6412612f622f632f64233102020266000202310002000400d686f3c9ea6400020000086e756c6c001a"
    ),
    "TupleSpace": (
        "c301b9571474be8f26090e04696e060e5b2261222c315dd686f3c9ea640e612f622f632f640273d886f3c9ea64"
    ),
    "Turn": (
        "c30199efed22364d0f8d060e612f622f632f64020e6d61696c626f780ed686f3c9ea640001026b040266000202310267"
        "02026b00000268026d027302026f12040204026d026500047b7d026b026e0a0018"
    ),
}
OLDER = {
    ("Claim", 1): ("c301944cfc357cbf0f6f0274026ed686f3c9ea64020261023100"),
    ("Mark", 1): (
        "c3013f102b1aab015ae306d686f3c9ea64020e6d61696c626f78020a0404060002026f02040000080a010a6123312e30"
        "01"
    ),
    ("Mark", 2): (
        "c301a559f09dc638adc206d686f3c9ea64020e6d61696c626f78020a0404060002026f0204000204080000080a010a61"
        "23312e30010270"
    ),
    ("Partition", 1): (
        "c3019ea2c986f7eddf5212100e04060a00020e6d61696c626f78020a02040002026f02040000080a02040001000a6123"
        "312e3004"
    ),
    ("Partition", 2): (
        "c301f460e2486622dc2712100e04060a00020e6d61696c626f78020a02040002026f0204000204080000080a02040001"
        "000a6123312e300402027000040270027100020271000272"
    ),
    ("Step", 1): (
        "c3011498c6d3637d8ca8060e612f622f632f64020e6d61696c626f780ed686f3c9ea640001026b040266000202310267"
        "02026b00000268026d027302026f12040204026d026500047b7d026b026e0a0002040e0202026d0268047b7d02730272"
        "026bd686f3c9ea6412612f622f632f64233102020266000202310002000400d686f3c9ea6400020000086e756c6c00"
    ),
    ("Turn", 1): (
        "c301ab40115e9a78cb99060e612f622f632f64020e6d61696c626f780ed686f3c9ea640001026b040266000202310267"
        "02026b00000268026d027302026f12040204026d026500047b7d026b026e0a00"
    ),
}
"""Those of the versions before, which every later one reads: what has been added since has its default."""
