"""One model that is learnt: workers on slices of it, compared with the same done by one loop."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []

SLICES = 2
TRUTH = {"rooms": 3, "garden": -2, "age": 1}
POINTS = [
    [[{"rooms": 1, "garden": 2, "age": 0}, -1], [{"rooms": 2, "garden": 0, "age": 1}, 7]],
    [[{"rooms": 0, "garden": 1, "age": 2}, 0], [{"rooms": 1, "garden": 1, "age": 1}, 2]],
]
"""Of each worker: features, and what they are worth by `TRUTH`."""


def play(stage: Stage, id: str) -> None:
    """Learn; ids that begin with "long" do for long enough to come near to the truth."""
    rounds = 60 if id.startswith("long") else 1
    stage.nouns(f"{id}-create").shards.group(id).create("slice", SLICES, "consistent")
    workers = [
        stage.start(
            f"worker/{id}.{number}", "train", f"{id}-train-{number}",
            model=id, points=points, workers=len(POINTS), rounds=rounds,
        )
        for number, points in enumerate(POINTS)
    ]  # fmt: skip
    expect("the rounds of all workers", [worker.result() for worker in workers], [rounds] * len(POINTS))

    weights, norms = learnt(rounds)
    slices = stage.nouns("").shards.group(id)
    expect("the weights", slices.reduce("get", by="merge"), weights)
    expect("what each slice knows of the norm", slices.map("known"), [norms] * SLICES)
    if id.startswith("long"):
        near = {name: round(weight / 1_000) for name, weight in weights.items()}
        expect("the weights, rounded", near, TRUTH)


def learnt(rounds: int) -> tuple[dict[str, int], list[int]]:
    """The weights by one loop over all points, and the squares of their norm after each round."""
    weights: dict[str, int] = {}
    norms = []
    for _ in range(rounds):
        steps = [step(weights, points) for points in POINTS]
        for change in steps:
            for name, value in change.items():
                weights[name] = weights.get(name, 0) + value
        norms.append(sum(weight * weight for weight in weights.values()))
    return weights, norms


def step(weights: dict[str, int], points: list) -> dict[str, int]:
    """Written here once more: what is checked is not what it is checked by."""
    errors = [
        wanted * 1_000 - sum(x * weights.get(name, 0) for name, x in features.items())
        for features, wanted in points
    ]
    return {
        name: sum(error * features[name] // 20 for (features, _), error in zip(points, errors, strict=True))
        for name in TRUTH
    }
