"""Care after crashes: what waits is nobody's poison, and what has to wait stops nobody else."""

from world import World

from plexstream import Retry, actor, handler, host, state


@actor(name="account")
class Account:
    money: int = state(default=0)

    @handler()
    async def nap(self, seconds: float) -> None:
        await host.sleep(seconds)

    @handler()
    async def asked(self) -> int:
        return await host.promise("answer")

    @handler()
    def credit(self, amount: int) -> int:
        self.money += amount
        return self.money

    @handler(read_only=True)
    def show(self) -> int:
        return self.money


@actor(name="away", retry=Retry(attempts=10, interval=3600, jitter=0))
class Away:
    @handler()
    def go(self) -> None:
        raise RuntimeError("the service is away")


def test_a_message_behind_a_waiting_handler_and_the_handler_are_no_poison():
    """Killed from outside, again and again, while nothing of them runs."""
    w = World(Account)
    w.start("account/1", "nap", seconds=60)
    credit = w.tell("account/1", "credit", _kind=1, amount=100)
    w.run()
    for _ in range(8):
        w.restart()
        w.run(1000)
    assert w.p.trials.careful
    w.run(60_000)
    assert w.replies[credit] == 100
    assert w.ask("account/1", "show") == 100


def test_a_handler_that_is_revived_and_waits_again_is_no_poison():
    w = World(Account)
    asked = w.start("account/1", "asked")
    for _ in range(8):
        w.restart()
        w.run(1000)
    w.tell("account/1", "$promise", _kind=1, name="answer", value=7)
    w.run()
    assert w.replies[asked] == 7


def test_others_are_served_while_one_waits_for_its_retry():
    w = World(Account, Away)
    nap = w.start("account/2", "nap", seconds=1)
    w.tell("away/1", "go")
    w.run()
    for _ in range(4):
        w.restart()
    assert w.ask("account/1", "credit", amount=1) == 1
    w.run(2000)
    assert nap in w.replies
    assert w.p.trials.careful
