"""Dining philosophers: each needs two forks, which are locks, and takes that of the lower number first."""

from plexstream import actor, handler, host


@actor
class Philosopher:
    @handler("dine")
    def dine(self, table: str, seat: int, seats: int, meals: int) -> int:
        """Eat so many times. Nobody starves: who waits for a fork gets it in the order of arrival."""
        first, second = sorted((seat, (seat + 1) % seats))
        for meal in range(meals):
            with host.locks.hold(f"{table}/fork {first}"), host.locks.hold(f"{table}/fork {second}") as fork:
                host.ts.write(["meal", table, first, second, seat, meal, fork.token])
        return meals
