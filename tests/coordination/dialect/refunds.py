"""A lock by name and lease in milliseconds, and the key-value store."""
import json

from plexstream import actor, handler, host


@actor(facets=["durability", "metrics"])
class Refunds:
    @handler("refund")
    def refund(self, payment: str, cents: int) -> dict:
        version = host.lock_acquire(f"refund:{payment}", 5000)
        if not version:
            return {"error": "busy"}
        try:
            if host.kv_get(f"refund:{payment}"):
                return {"status": "already", "payment": payment}
            host.kv_put(f"refund:{payment}", json.dumps({"cents": cents}))
            return {"status": "refunded", "cents": cents}
        finally:
            host.lock_release(f"refund:{payment}", version)

    @handler("list")
    def list(self) -> dict:
        return {"keys": sorted(json.loads(host.kv_list("refund:")))}
