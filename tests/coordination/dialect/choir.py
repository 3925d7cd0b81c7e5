"""Process groups: join, publish, members; who publishes does not hear it."""
from plexstream import actor, handler, host, state


@actor
class Singer:
    heard: list = state(default_factory=list)

    @handler("join")
    def join(self, group: str) -> dict:
        host.process_groups.join(group, host.get_actor_id())
        return {"joined": group}

    @handler("sing")
    def sing(self, group: str, line: str) -> dict:
        host.process_groups.publish(group, {"line": line})
        return {"sung": line}

    @handler("members")
    def members(self, group: str) -> dict:
        return {"members": sorted(host.process_groups.get_members(group))}

    @handler("*")
    def any(self, line: str = None) -> None:
        if line:
            self.heard.append(line)

    @handler("heard")
    def tell(self) -> dict:
        return {"heard": self.heard}
