"""What each kind of caller does with the nouns, and notes."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from contenders import HEARERS, LONG, SPACES, Caller, Held, Kinds

from plexstream.model.errors import Rejected


async def trade(who: Caller) -> None:
    await trade_in(who, who.random.choice(SPACES))


async def trade_in(who: Caller, name: str) -> None:
    one = [f"{who.random.randrange(5)}", who.name, who.number]
    await who.call(lambda n: n.ts.space(name).write(one))
    who.all.written[name].append(one)
    first = who.random.choice((None, None, f"{who.random.randrange(5)}"))
    wait = who.random.choice((0, 0, 0.3))
    found = await who.call(lambda n: n.ts.space(name).take([first, {"prefix": "trade"}, None], wait=wait))
    if found is not None:
        who.all.taken[name].append(found)


async def pair(who: Caller) -> None:
    """One who waits for ever for what somebody else writes."""
    name = who.random.choice(SPACES)
    mark = f"{who.all.name} {who.name} {who.number}"
    pattern = who.random.choice(([mark, None], [None, mark]))
    other = Caller(who.all, who.kind, f"{who.name}'s other")
    other.number = who.number
    waits = asyncio.create_task(who.call(lambda n: n.ts.space(name).take(pattern, wait=None)))
    await asyncio.sleep(who.random.choice((0, 0.02, 0.2)))
    await other.call(lambda n: n.ts.space(name).write([mark, mark]))
    assert await waits == [mark, mark]


async def move(who: Caller) -> None:
    name = who.random.choice(SPACES)
    one = [who.name, who.number]
    await who.call(lambda n: n.ts.space(name).write(["raw", *one]))
    who.all.raw[name].append(one)
    handler = who.random.choice(("move", "move_awaited"))
    found = await who.ask(f"mover/{who.random.randrange(4)}", handler, space=name)
    if found is not None:
        who.all.moved[name].append(found[1:])


async def count(who: Caller) -> None:
    key = f"n{who.random.randrange(3)}"
    await who.call(lambda n: n.kv.increment(key))
    who.all.counted[key] += 1
    entry = await who.call(lambda n: n.kv.entry("list"), reads=True)
    value, version = (entry.value, entry.version) if entry else ([], 0)
    mine = [who.name, who.number]
    found = await who.call(lambda n: n.kv.cas("list", [*value, mine][-50:], version))
    if found.done:
        who.all.swapped.append((found, mine))


async def lock(who: Caller) -> None:
    held = who.all.held.setdefault("lock", Held("lock"))
    wait = who.random.choice((0, 2, None))
    grant = await who.call(lambda n: n.locks.lock("one").acquire(who.name, LONG, wait))
    if grant is not None:
        held.begin(who.name, grant.token)
        await asyncio.sleep(0.01)
        held.end()
        await who.call(lambda n: n.locks.lock("one").release(grant.token))


async def short(who: Caller) -> None:
    """A lock whose leases end while it is held."""
    begun = time.monotonic()
    grant = await who.call(lambda n: n.locks.lock("short").acquire(who.name, 0.3, 5))
    if grant is None:
        return
    who.all.tokens.append((begun, time.monotonic(), grant.token))
    await asyncio.sleep(who.random.choice((0, 0.4)))
    with suppress(Rejected):
        await who.call(lambda n: n.locks.lock("short").release(grant.token))


async def lead(who: Caller) -> None:
    held = who.all.held.setdefault("election", Held("election"))
    wait = who.random.choice((0, 2, None))
    term = await who.call(lambda n: n.elections.election("one").campaign(who.name, LONG, wait))
    if term is not None:
        held.begin(who.name, term.term)
        await asyncio.sleep(0.01)
        held.end()
        await who.call(lambda n: n.elections.election("one").resign(term.term))


async def borrow(who: Caller) -> None:
    wait = who.random.choice((0, 2, None))
    found = await who.call(lambda n: n.pools.pool("pool").checkout(wait, LONG, who.name))
    if found is not None:
        held = who.all.held.setdefault(found.member, Held(found.member))
        held.begin(who.name, found.checkout)
        await asyncio.sleep(0.01)
        held.end()
        await who.call(lambda n: n.pools.pool("pool").checkin(found.checkout))


async def pass_on(who: Caller) -> None:
    item = [who.name, who.number]
    await who.call(lambda n: n.queues.queue("work").send(item))
    who.all.sent.append(item)
    wait = who.random.choice((0, 1))
    for message in await who.call(lambda n: n.queues.queue("work").receive(2, wait, LONG)):
        assert message.attempt == 1, message
        who.all.received.append(message.value)
        await who.call(lambda n, m=message: n.queues.queue("work").ack(m))


async def flaky(who: Caller) -> None:
    """Messages that are held too long at times: whoever acknowledges in time is the only one."""
    item = [who.name, who.number]
    await who.call(lambda n: n.queues.queue("flaky").send(item))
    who.all.flaky.append(item)
    for message in await who.call(lambda n: n.queues.queue("flaky").receive(2, 1, 0.5)):
        await asyncio.sleep(who.random.choice((0, 0, 0.6)))
        try:
            await who.call(lambda n, m=message: n.queues.queue("flaky").ack(m))
        except Rejected:
            continue
        who.all.flaky_done.append(message.value)


async def publish(who: Caller) -> None:
    said = f"{who.name} {who.number}"
    told = await who.call(lambda n: n.groups.group("all").publish({"said": said}, "hear"))
    assert told == HEARERS
    who.all.published.append(said)
    position = await who.call(lambda n: n.channels.channel("news").publish(said))
    assert who.all.posted.setdefault(said, position) == position


async def fetch(who: Caller) -> None:
    found = await who.call(lambda n: n.channels.channel("news").fetch("fetcher", 50, 1))
    assert not found.missed
    who.all.fetched += [(message.position, message.value) for message in found.messages]
    await who.call(lambda n: n.channels.channel("news").commit("fetcher", found.position))


async def register(who: Caller) -> None:
    name, address = f"r{who.name}", f"hearer/{who.random.randrange(HEARERS)}"
    there = who.all.registered.setdefault(name, [])
    if address in there:
        assert await who.call(lambda n: n.registry.unregister(name, address)) is True
        there.remove(address)
    else:
        assert await who.call(lambda n: n.registry.register(name, address, labels={"of": who.name})) is True
        there.append(address)
    found = await who.call(lambda n: n.registry.lookup(name), reads=True)
    assert sorted(one.address.split("default/")[-1] for one in found) == sorted(there), (found, there)


async def slices(who: Caller) -> None:
    updates = {f"k{who.random.randrange(20)}": 1 for _ in range(3)}
    await who.call(lambda n: n.shards.group("slices").bulk_update(updates, "add"))
    who.all.added += len(updates)


async def meet(who: Caller) -> None:
    others = [Caller(who.all, who.kind, f"{who.name}'s {i}") for i in range(3)]
    for other in others:
        other.number = who.number
    who.number += 3
    came = await asyncio.gather(
        *(other.call(lambda n: n.shards.group("slices").barrier(who.name, 3)) for other in others)
    )
    assert sorted(came) == [0, 1, 2], came


KINDS: Kinds = {
    "trade": (trade, 4), "pair": (pair, 2), "move": (move, 3), "count": (count, 3), "lock": (lock, 3),
    "short": (short, 3), "lead": (lead, 3), "borrow": (borrow, 5), "pass_on": (pass_on, 3),
    "flaky": (flaky, 2), "publish": (publish, 2), "fetch": (fetch, 1), "register": (register, 2),
    "slices": (slices, 2), "meet": (meet, 2),
}  # fmt: skip
