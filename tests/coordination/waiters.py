"""An actor that calls what it is told to, and what the tests of held things have in common."""

from itertools import pairwise

from plexstream import Retry, actor, handler, host, state
from plexstream.model.errors import TimedOut
from plexstream.model.messages.message import ASK


@actor(name="guest", retry=Retry(attempts=1))
class Guest:
    heard: list = state(default_factory=list)

    @handler("want")
    def want(self, to: str, handler: str, arguments: dict, timeout: float = 0) -> object:
        try:
            return host.ask(to, handler, arguments, timeout=timeout or None)
        except TimedOut:
            return "late"

    @handler("want_or_leave")
    def want_or_leave(self, to: str, handler: str, arguments: dict) -> object:
        """Until `leave` ends it: then what it has asked for is asked for by nobody."""
        return host.race(host.start.ask(to, handler, arguments), host.promise("leave"))

    @handler("leave", shared=True)
    def leave(self) -> None:
        host.promise("leave").resolve("left")

    @handler("hear")
    def hear(self, election: str, leader: str | None, term: int) -> None:
        self.heard.append([election, leader, term])


def in_order(numbers):
    return all(a < b for a, b in pairwise(numbers))


def before_the_alarm(world, ms, to, handler, **arguments):
    """An ask that is handled after `ms`, before anything that is due by then; the id of its reply."""
    id = world.tell(to, handler, _kind=ASK, **arguments)
    world.now += ms
    world.p.receive([(world.p.position, world.mailbox[world.p.position])], world.now)
    world.run()
    return id
