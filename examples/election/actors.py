"""Leader election: candidates campaign, the leader resigns, and everybody hears who leads now."""

from plexstream import actor, handler, host, state


@actor
class Candidate:
    terms: list[int] = state(default_factory=list)

    @handler("stand")
    async def stand(self, ship: str) -> int:
        """Campaign until it is elected, be captain for a while, and let the next one lead."""
        election = host.elections.election(ship)
        term = await election.campaign(lease=3600, wait=None)
        await host.ts.write(["captain", ship, term.term, host.self_id()])
        await election.resign(term)
        self.terms.append(term.term)
        return term.term


@actor
class Crew:
    heard: list[list] = state(default_factory=list)

    @handler("watch")
    async def watch(self, ship: str) -> None:
        await host.elections.election(ship).observe("captain")

    @handler("captain")
    def captain(self, election: str, leader: str | None, term: int) -> None:
        if leader is not None:
            self.heard.append([term, leader])

    @handler("heard", read_only=True)
    def read(self) -> list[list]:
        return self.heard
