"""A chat: rooms are process groups, and everybody in one hears every line in the same order."""

from plexstream import actor, handler, host, state


@actor
class Guest:
    heard: list[str] = state(default_factory=list)

    @handler("enter")
    def enter(self, room: str) -> None:
        host.process_groups.join(room)

    @handler("say")
    def say(self, room: str, line: str) -> int:
        name = host.self_id().rpartition("-")[2]
        return host.process_groups.publish(room, {"line": f"{name}: {line}"}, handler="hear")

    @handler("hear")
    def hear(self, line: str) -> None:
        self.heard.append(line)

    @handler("leave")
    def leave(self, room: str) -> None:
        host.process_groups.leave(room)

    @handler("heard", read_only=True)
    def read(self) -> list[str]:
        return self.heard
