"""A tuple space as a work list: flat calls with JSON text, and the object form."""
import json

from plexstream import actor, handler, host


@actor
class Sender:
    @handler("post")
    def post(self, number: str, to: str) -> dict:
        host.ts_write(json.dumps(["parcel", number, "new", to]))
        return {"posted": number}


@actor
class Courier:
    @handler("next")
    def next(self) -> dict:
        found = host.ts_take(json.dumps(["parcel", None, "new", None]))
        if not found:
            return {"status": "nothing"}
        parcel = json.loads(found)
        host.ts.write(["parcel", parcel[1], "delivered", parcel[3]])
        return {"delivered": parcel[1]}

    @handler("delivered")
    def delivered(self) -> dict:
        return {"count": len(json.loads(host.ts_read_all(json.dumps(["parcel", "*", "delivered", "*"]))))}
