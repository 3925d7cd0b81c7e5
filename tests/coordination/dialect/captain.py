"""Leader election by a lock with six arguments: tenant, namespace, holder, lock, lease in seconds, wait in milliseconds."""
import json

from plexstream import actor, handler, host, state


@actor
class Captain:
    version: str = state(default="")

    @handler("stand")
    def stand(self, name: str) -> dict:
        answer = host.lock_acquire("", "ship", name, "captain", 2, 0)
        if answer and not answer.startswith("ERROR"):
            self.version = str(json.loads(answer).get("version", answer))
            return {"captain": True, "name": name}
        return {"captain": False}

    @handler("resign")
    def resign(self, name: str) -> dict:
        host.lock_release("captain", "", "ship", name, self.version)
        return {"captain": False}
