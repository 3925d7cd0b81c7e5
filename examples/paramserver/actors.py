"""A parameter server: a shard group has the slices of a model, workers improve it round by round."""

from plexstream import actor, handler, host, state, state_map

UNIT = 1_000
"""Weights are whole numbers of thousandths. So it does not matter in which order workers add theirs."""
PACE = 20
"""One over how far a round goes along the gradient."""


@actor
class Slice:
    """Some weights of a model, by name: those that the group places here."""

    weights: dict[str, int] = state_map()
    norms: list[int] = state(default_factory=list)

    @handler("add")
    def add(self, updates: dict[str, int]) -> None:
        for name, change in updates.items():
            self.weights[name] = self.weights.get(name, 0) + change

    @handler("get", read_only=True)
    def get(self) -> dict:
        return dict(self.weights.items())

    @handler("squares", read_only=True)
    def squares(self) -> int:
        """This slice's part of the square of the model's norm."""
        return sum(weight * weight for weight in self.weights.values())

    @handler("know")
    def know(self, value: int) -> None:
        """The square of the whole model's norm, after a round."""
        self.norms.append(value)

    @handler("known", read_only=True)
    def known(self) -> list:
        return self.norms


@actor
class Worker:
    """Learns from its own points, together with others."""

    @handler("train")
    async def train(self, model: str, points: list, workers: int, rounds: int) -> int:
        """Add this worker's gradient, at the weights that all others have, too. Returns the rounds."""
        slices = host.shards.group(model)
        for _ in range(rounds):
            weights = await slices.reduce("get", by="merge")
            await slices.barrier("read", workers)
            await slices.bulk_update(changes(weights, points), "add")
            last = await slices.barrier("added", workers) == workers - 1
            if last:  # nobody adds before this worker has read again
                await slices.all_reduce("squares", "know", by="sum")
        return rounds


def changes(weights: dict[str, int], points: list) -> dict[str, int]:
    """What one worker's points do to the weights: a step against the gradient of the squared error.

    Parameters:
        points: each a dict of features by the name of their weight, and what their sum by weight should be.
    """
    found: dict[str, int] = {}
    for features, wanted in points:
        error = wanted * UNIT - sum(weights.get(name, 0) * x for name, x in features.items())
        for name, x in features.items():
            found[name] = found.get(name, 0) + error * x // PACE
    return found
