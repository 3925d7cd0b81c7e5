"""What is random is so between turns, actors and installations, and the same when a turn runs again."""

from plexstream import actor, handler, host


@actor(name="a")
class Dice:
    @handler("roll")
    def roll(self) -> list:
        return [host.random(), host.uuid(), host.random()]


def test_random_and_uuid(tester):
    def rolled(**options):
        t = tester(Dice, **options)
        return [t.ok("roll").value for _ in range(3)]

    found = [rolled(salt=salt) for salt in ("", "one", "two")]
    assert len({value for values in found for value in values}) == 9
    assert rolled(salt="one") == found[1]
