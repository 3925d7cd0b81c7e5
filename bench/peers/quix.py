"""The counter on Quix Streams, exactly once, with its RocksDB state and changelog topics."""

import json
import os
import time
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found,unused-ignore]
from quixstreams.state.recovery import (  # type: ignore[import-not-found,unused-ignore]
    RecoveryManager,
    RecoveryPartition,
)

env = os.environ
app = Application(
    broker_address=env["BOOTSTRAP"],
    consumer_group=env["PEER_ID"],
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=int(env["PEER_COMMIT_MS"]) / 1000,
    state_dir=env["PEER_STATE"],
    # 100 ms by default, for which each transaction waits that is begun while the last one is being marked.
    producer_extra_config={"retry.backoff.ms": 1} if env["PEER_VARIANT"].endswith("-backoff1") else None,
    loglevel="WARNING",
)
recover, take = RecoveryManager.do_recovery, RecoveryPartition.recover_from_changelog_message
restored = 0


def counted(self: Any, *arguments: Any, **named: Any) -> Any:
    """A record of the changelog."""
    global restored
    restored += 1
    return take(self, *arguments, **named)


def timed(self: Any) -> None:
    """Says how long the stores took to come back from their changelogs."""
    global restored
    began, restored = time.time(), 0
    recover(self)
    said = {"records": restored, "began": round(began * 1000), "ended": round(time.time() * 1000)}
    print("restored", json.dumps(said), flush=True)


RecoveryManager.do_recovery = timed
RecoveryPartition.recover_from_changelog_message = counted
inputs = app.topic(env["PEER_IN"], key_deserializer="str", value_deserializer="json")
outputs = app.topic(env["PEER_OUT"], key_serializer="str", value_serializer="json")


def count(order: dict[str, Any], state: State) -> dict[str, Any]:
    """One more."""
    last = state.get("counter")
    total = last["count"] + 1 if last else 1
    state.set("counter", {"count": total, "amount": order["amount"]})
    return {"key": order["key"], "count": total}


app.dataframe(inputs).apply(count, stateful=True).to_topic(outputs)
app.run()
