"""Simulations in which most messages are plain turns: ``python plain_seeds.py FIRST END``."""

import sys
from collections import Counter

from plexstream.testing.simulation import Simulation

total = Counter()
for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    total.update(Simulation(seed, change={"plain": 40}).run())
print(total["compiled turns"])
