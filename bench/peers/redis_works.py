"""The works of coordination by Redis' client for Python. Run as a process; prints JSON.

redis_works.py PORT PID SECONDS TUPLES     as bench.together.own

A space is a list for each key: RPUSH, and BLMOVE into a list of what was taken, so that nothing is lost with
its taker. A lock is SET NX PX, asked for again every millisecond, and released by a script that compares. A
queue is a stream with one group: XADD, XREADGROUP, XACK.
"""

import asyncio
import json
import sys
import uuid
from typing import Any

import uvloop
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ResponseError

from bench.processes import memory
from bench.together import works
from bench.together.works import PATIENCE, Found, Server

LEASE_MS, AGAIN_S = 30_000, 0.001
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"
GROUP = "group"


class Peer:
    """Coordination by Redis."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis
        self._release = redis.register_script(RELEASE)
        self._groups: dict[str, asyncio.Task[None]] = {}

    async def fill(self, space: str, numbers: range) -> None:
        """Some values in one exchange."""
        async with self._redis.pipeline(transaction=False) as some:
            for n in numbers:
                some.rpush(f"{space}.{works.name(n)}", _value(works.name(n), n))
            await some.execute()

    async def write(self, space: str, key: str, number: int) -> None:
        """Into the list of its key."""
        await self._redis.rpush(f"{space}.{key}", _value(key, number))

    async def take(self, space: str, key: str, wait: float) -> int | None:
        """The first of that list, moved to what was taken."""
        found = await self._redis.blmove(f"{space}.{key}", f"{space}:taken", wait, "LEFT", "RIGHT")
        return None if found is None else int(json.loads(found)[1])

    async def count(self, space: str) -> int:
        """Of all keys."""
        async with self._redis.pipeline(transaction=False) as some:
            for n in range(works.KEYS):
                some.llen(f"{space}.{works.name(n)}")
            return sum(await some.execute())

    async def acquire(self, lock: str) -> Any:
        """Ask until it is free."""
        mine, end = uuid.uuid4().hex, asyncio.get_running_loop().time() + PATIENCE
        while not await self._redis.set(lock, mine, nx=True, px=LEASE_MS):
            if asyncio.get_running_loop().time() > end:
                return None
            await asyncio.sleep(AGAIN_S)
        return mine

    async def release(self, lock: str, grant: Any) -> None:
        """If it is still held."""
        await self._release(keys=[lock], args=[grant])

    async def send(self, queue: str, number: int) -> None:
        """To the end of the stream."""
        if queue not in self._groups:
            self._groups[queue] = asyncio.create_task(self._group(queue))
        await self._groups[queue]
        await self._redis.xadd(queue, {"value": number})

    async def _group(self, queue: str) -> None:
        try:
            await self._redis.xgroup_create(queue, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def receive(self, queue: str) -> tuple[Any, int] | None:
        """One that nobody of the group has."""
        wait = int(PATIENCE * 1000)
        found = await self._redis.xreadgroup(GROUP, "one", {queue: ">"}, count=1, block=wait)
        if not found:
            return None
        ((_, ((id, fields),)),) = found
        return id, int(fields[b"value"])

    async def ack(self, queue: str, receipt: Any) -> None:
        """By its place in the stream."""
        await self._redis.xack(queue, GROUP, receipt)

    async def put(self, key: str, number: int) -> None:
        """SET."""
        await self._redis.set(key, number)

    async def get(self, key: str) -> int | None:
        """GET."""
        found = await self._redis.get(key)
        return None if found is None else int(found)


def _value(key: str, number: int) -> str:
    return json.dumps([key, number, works.TEXT])


async def _measure(port: int, pid: int, seconds: float, tuples: int) -> Found:
    # A connection for each caller, since some of them wait in it.
    pool = BlockingConnectionPool(host="127.0.0.1", port=port, max_connections=works.CALLERS + 8)
    redis = Redis(connection_pool=pool)
    try:
        if not tuples:
            return await works.measure(Peer(redis), Server(pid), seconds)
        before = memory(pid)
        found = await works.large(Peer(redis), Server(pid), tuples, seconds)
        return found | {"grown": (memory(pid) - before) / 1e6}
    finally:
        await redis.aclose()
        await pool.disconnect()


def main() -> None:
    """Measure as the command line says."""
    port, pid, seconds, tuples = sys.argv[1:]
    print(json.dumps(uvloop.run(_measure(int(port), int(pid), float(seconds), int(tuples)))))


if __name__ == "__main__":
    main()
