"""A process that appends groups and says which ones are acknowledged, until it is killed.

    append_until_killed.py URL TOPIC SEED

Prints a line for each acknowledged group: offset of its last record, its number, its size.
"""

import random
import sys

from plexstream.log.open import open_log


def main(url: str, topic: str, seed: int) -> None:
    chance = random.Random(seed)
    log = open_log(url)
    appender = log.appender()
    sizes: dict[int, int] = {}
    number = 0
    while True:
        while len(sizes) < 50:
            sizes[number] = chance.choice((1, 1, 2, 30))
            group = [(b"k", b"%d %d %d" % (seed, number, i)) for i in range(sizes[number])]
            appender.append((topic, 0), group, number)
            number += 1
        for ack in appender.poll(0.1):
            assert ack.error is None, ack
            print(ack.offset, ack.token, sizes.pop(ack.token), flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
