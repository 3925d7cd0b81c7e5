"""Orders in stages of different speeds: what is too fast waits, since the queues between them are bounded."""

from plexstream import actor, handler, host


@actor
class Intake:
    @handler("run")
    async def run(self, batch: str, orders: int) -> None:
        """Take orders out of the space, the oldest first, and hand them on as fast as they are packed."""
        packing = host.queues.queue(f"{batch}-packing")
        for _ in range(orders):
            order = await host.ts.take(["order", batch, int], wait=None)
            await packing.send(order[2], wait=None)  # the queue has two places: this is where it is held up


@actor
class Packing:
    @handler("run")
    async def run(self, batch: str, orders: int) -> None:
        """The slow one."""
        packing, shipping = (host.queues.queue(f"{batch}-{name}") for name in ("packing", "shipping"))
        for _ in range(orders):
            (order,) = await packing.receive(wait=None, visibility=3600)
            await host.sleep(0.02)
            await shipping.send({"order": order.value, "box": order.value % 2}, wait=None)
            await packing.ack(order)


@actor
class Shipping:
    @handler("run")
    async def run(self, batch: str, orders: int) -> list[int]:
        """Ship what is packed; the answer says in which order."""
        shipping, shipped = host.queues.queue(f"{batch}-shipping"), list[int]()
        for _ in range(orders):
            (parcel,) = await shipping.receive(wait=None, visibility=3600)
            number = parcel.value["order"]
            await host.ts.write(["shipped", batch, number])
            await shipping.ack(parcel)
            shipped.append(number)
        return shipped
