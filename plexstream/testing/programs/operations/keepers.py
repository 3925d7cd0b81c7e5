"""Actors that keep others waiting: a later turn answers, or another actor, or who asked has given up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from plexstream.model.errors import AlreadyDone
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state_list
from plexstream.sdk.host.host import host
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.operations.kinds import Came, Kind, Me, Play, Scope, kind
from plexstream.testing.programs.operations.waits import error
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op

_LONG = 25
"""Seconds after which some answer: who has a timeout has given up long since."""
_LAG = 15_000
"""Milliseconds that word of that may take, through crashes."""
_RETRY = Retry(attempts=50, interval=0.1, factor=1, jitter=0)


@actor(name="keeper", retry=_RETRY, max_active=1, idle_timeout=0.2)
class Keeper:
    """Leaves the answer to those who ask to a later turn, some of them after a wait."""

    log: Any = state_list()

    @handler("keep")
    async def keep(self, sid: str, at: int, how: str, waits: float, delay: float) -> None:
        """Keep somebody waiting."""
        if waits:
            await host.sleep(waits)
        to = None if how == "itself" else f"second/{sid}"
        host.send_after(delay, "give", to=to, sid=sid, at=at, how=how, token=host.defer())

    @handler("give")
    def give(self, sid: str, at: int, how: str, token: str) -> None:
        """Answer, and write down whether anybody waits."""
        self.log.append(["gave", "", sid, at, [host.reply(token, f"{sid}.{at}"), host.now()]])
        host.tell(host.self_id(), "give_again", sid=sid, at=at, token=token)

    @handler("give_again")
    def give_again(self, sid: str, at: int, token: str) -> None:
        """Write down what becomes of a second answer."""
        try:
            host.reply(token, "too late")
        except AlreadyDone as error:
            self.log.append(["gave again", "", sid, at, error.code])
        else:
            self.log.append(["gave again", "", sid, at, ""])

    @handler("fail")
    def fail(self, key: str, fails: int) -> None:
        """Be tried again: who asks meanwhile waits behind that."""
        if outside.fails(key, fails):
            raise RuntimeError("as told")

    @handler("look", read_only=True)
    def look(self) -> dict[str, Any]:
        """All that there is."""
        return {"n": 0, "log": list(self.log), "m": {}, "items": []}


@actor(name="second", retry=_RETRY, max_active=1, idle_timeout=0.2)
class Second:
    """Has tokens of others, and answers by them."""

    @handler("give")
    def give(self, sid: str, at: int, how: str, token: str) -> None:
        """Answer, once or twice."""
        if how == "refuses":
            host.reject(token, "as the script says", f"{sid}.{at}")
            return
        host.reply(token, f"{sid}.{at}")
        if how == "twice":
            host.reply(token, f"{sid}.{at}")


class _Said(NamedTuple):
    """What one operation says."""

    keeper: str
    how: str
    waits: float
    delay: float
    timeout: float | None
    fails: int

    def may_be_late(self) -> bool:
        """Whether the answer may come to one who has given up, or has it."""
        return self.how == "twice" or self.timeout is not None


@kind
class Kept(Kind):
    """``[kept, keeper, how, waits, delay, timeout, fails]``: somebody answers later.

    `fails`: how often a message before it does, behind which it waits then.
    """

    name = "kept"
    waits = True

    def draw(self, scope: Scope) -> Op:
        pick = scope.random.choice
        how = pick(("itself", "itself", "itself", "other", "twice", "refuses"))
        timeout = pick((None, None, 0.3, 1, 5))
        delay = pick((0, 0.2, 1, 3, *([_LONG, _LONG] if timeout else [])))
        keeper = f"keeper/no {scope.random.randrange(2)}"
        return [self.name, *_Said(keeper, how, pick((0, 0, 0.5)), delay, timeout, pick((0, 0, 3, 20)))]

    def play(self, me: Me, op: Op) -> Play:
        said = _Said(*op[1:])
        if said.fails:
            host.tell(said.keeper, "fail", key=f"{me.key()} kept", fails=said.fails)
        asked = host.start.ask(
            said.keeper, "keep", sid=me.sid, at=me.at, how=said.how, waits=said.waits, delay=said.delay,
            timeout=said.timeout,
        )  # fmt: skip
        return (yield asked)

    def judge(self, op: Op, came: Came) -> None:
        said, took, at = _Said(*op[1:]), came.over - came.began, int(came.at)
        gave = [e[4] for e in came.known.entries(said.keeper, "gave", came.sid, at)]
        again = {e[4] for e in came.known.entries(said.keeper, "gave again", came.sid, at)}
        came.claim(again <= {"already_done"}, "it is answered twice")
        if error(came.value) == "timed_out" and said.timeout is not None:
            came.claim(took >= said.timeout * 1000, f"a timeout of {said.timeout} s is over before its time")
            late = [now for waited, now in gave if waited and now > came.over + _LAG]
            came.claim(not late or came.known.again(came.sid), f"who gave up is waiting: {gave}")
            return
        came.claim(took >= (said.waits + said.delay) * 1000, "it is answered before its time")
        if said.how == "refuses":
            came.claim(error(came.value) == "rejected", "it is refused")
            return
        came.claim(came.value == f"{came.sid}.{came.at}", "it is given its own name")
        told = said.how != "itself" or any(waited for waited, _ in gave)
        came.claim(told, f"who answered was told that nobody waits: {gave}")

    def puts_aside(self, op: Op, sender: str, code: str, again: bool) -> bool:
        return again or _Said(*op[1:]).may_be_late()

    def looks(self, op: Op) -> Iterator[str]:
        yield op[1]
