"""kill -9 of ``plexstream dev`` under load, again and again: each acknowledged call counts exactly once."""

from __future__ import annotations

import random
import shutil

import pytest
from load import Load, reckon
from nodes import Start
from serving import PARTITIONS

from plexstream import AsyncClient

pytestmark = pytest.mark.slow


def test_the_node_is_killed_in_a_loop(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)
    random_ = random.Random(7)
    with Load(7, [lambda: AsyncClient(node.url)]) as load:
        for _ in range(6):
            load.more(random_.randrange(5, 200))
            node.kill()
            node.start()
        node.ready(PARTITIONS)
        load.more()
    reckon(load, node, lambda: [r["value"] for r in node.topic("plex.out.entries")])
    node.kill()
    shutil.rmtree(node.folder / "state")
    node.start().ready(PARTITIONS)
    reckon(load, node, lambda: [r["value"] for r in node.topic("plex.out.entries")])
