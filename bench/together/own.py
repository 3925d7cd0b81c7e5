"""The works of coordination by plexstream's client. Run as a process; prints JSON.

python -m bench.together.own kafka ADDRESS PREFIX PID SECONDS TUPLES     PID leads the node's session
python -m bench.together.own embedded FOLDER - 0 SECONDS TUPLES          the node in the same process

TUPLES: 0: all works but the large space; else that one, of so many.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvloop

from bench.inside import Inside
from bench.processes import memory
from bench.together import works
from bench.together.works import PATIENCE, Found, Server
from plexstream import AsyncClient
from plexstream.model.topics.topics import Topics


class Own:
    """Coordination by plexstream's client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def fill(self, space: str, numbers: range) -> None:
        """Some tuples in one call."""
        tuples = [[works.name(n), n, works.TEXT] for n in numbers]
        await self._client.ts.space(space).write_many(tuples)

    async def write(self, space: str, key: str, number: int) -> None:
        """A tuple."""
        await self._client.ts.space(space).write([key, number, works.TEXT])

    async def take(self, space: str, key: str, wait: float) -> int | None:
        """By its first field."""
        found = await self._client.ts.space(space).take([key, None, None], wait=wait)
        return None if found is None else int(found[1])

    async def count(self, space: str) -> int:
        """By the space itself."""
        return int(await self._client.ts.space(space).count())

    async def acquire(self, lock: str) -> Any:
        """In order of arrival."""
        return await self._client.locks.lock(lock).acquire(wait=PATIENCE)

    async def release(self, lock: str, grant: Any) -> None:
        """By its token."""
        await self._client.locks.lock(lock).release(grant)

    async def send(self, queue: str, number: int) -> None:
        """A message."""
        await self._client.queues.queue(queue).send(number)

    async def receive(self, queue: str) -> tuple[Any, int] | None:
        """One message."""
        found = await self._client.queues.queue(queue).receive(wait=PATIENCE)
        return (found[0], int(found[0].value)) if found else None

    async def ack(self, queue: str, receipt: Any) -> None:
        """By its receipt."""
        await self._client.queues.queue(queue).ack(receipt)

    async def put(self, key: str, number: int) -> None:
        """In the store that is there."""
        await self._client.kv.put(key, number)

    async def get(self, key: str) -> int | None:
        """The value alone."""
        found: int | None = await self._client.kv.get(key)
        return found


async def _measure(client: AsyncClient, pid: int, seconds: float, tuples: int) -> Found:
    who, server = Own(client), Server(pid)
    if not tuples:
        return await works.measure(who, server, seconds)
    before = memory(pid)
    found = await works.large(who, server, tuples, seconds)
    return found | {"grown": (memory(pid) - before) / 1e6}


async def _kafka(address: str, prefix: str, pid: int, seconds: float, tuples: int) -> Found:
    async with AsyncClient(f"kafka://{address}", topics=Topics(prefix)) as client:
        return await _measure(client, pid, seconds, tuples)


async def _embedded(folder: str, seconds: float, tuples: int) -> Found:
    with Inside(f"embedded:{folder}/log", Topics(), Path(folder) / "state", {}) as inside:
        inside.start()
        async with AsyncClient(log=inside.log, topics=inside.topics) as client:
            return await _measure(client, 0, seconds, tuples)


def main() -> None:
    """Measure as the command line says."""
    way, where, prefix, pid, seconds, tuples = sys.argv[1:]
    if way == "kafka":
        found = uvloop.run(_kafka(where, prefix, int(pid), float(seconds), int(tuples)))
    else:
        found = uvloop.run(_embedded(where, float(seconds), int(tuples)))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
