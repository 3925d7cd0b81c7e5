"""An actor that does any operation, in a plain and in an ``async def`` handler; members of shard groups."""

from plexstream import Reject, Retry, actor, handler, host, init_handler, state


def _find(path, name):
    """The operation at `path` of the host: ``"kv.put"``; with a name: of the noun that has it."""
    found = host
    *nouns, operation = path.split(".")
    for noun in nouns:
        found = getattr(found, noun)
    return getattr(found(name) if name is not None else found, operation)


@actor
class Anybody:
    @handler("here", read_only=True)
    def here(self) -> bool:
        return True

    @handler("plain")
    def plain(self, path: str, arguments: dict, name: str | None = None):
        return _find(path, name)(**arguments)

    @handler("awaited")
    async def awaited(self, path: str, arguments: dict, name: str | None = None):
        return await _find(path, name)(**arguments)


@actor(retry=Retry(attempts=1))
class Part:
    """A member of a shard group, which needs no start."""

    rows: dict = state(default_factory=dict)
    heard: list = state(default_factory=list)

    @handler("update")
    def update(self, updates: dict) -> list:
        self.rows.update(updates)
        return sorted(updates)

    @handler("add")
    def add(self, updates: dict) -> None:
        for key, value in updates.items():
            self.rows[key] = self.rows.get(key, 0) + value

    @handler("rows", read_only=True)
    def all_rows(self) -> dict:
        return self.rows

    @handler("number")
    def number(self, times: int = 1) -> int:
        return times * int(host.self_id().rpartition("~")[2])

    @handler("hear")
    def hear(self, value: object = None) -> None:
        self.heard.append([host.sender(), value])

    @handler("all_heard", read_only=True)
    def all_heard(self) -> list:
        return self.heard

    @handler("slow")
    async def slow(self, late: list, seconds: float = 3600) -> int:
        """Shards in `late` are."""
        number = self.number()
        if number in late:
            await host.sleep(seconds)
        return number

    @handler("refuse")
    def refuse(self, shards: list) -> int:
        """Shards in `shards` do, and those that are negative there fail."""
        number = self.number()
        if number in shards:
            raise Reject(f"shard {number} will not")
        if -number in shards:
            raise RuntimeError(f"shard {number} cannot")
        return number

    @handler("total")
    def total(self, results: list) -> list:
        return ["total", sum(results)]


@actor(retry=Retry(attempts=1))
class Started:
    """A member that has to be started."""

    of: list = state(default_factory=list)

    @init_handler
    def begin(self, args: dict) -> None:
        shard = args.get("shard", -1)
        if shard == args.get("refuses"):
            raise Reject("not today")
        self.of = [shard, args.get("shards", -1), args.get("start", 0)]

    @handler("made_of")
    def made_of(self) -> list:
        return self.of

    @handler("fail")
    def fail(self) -> None:
        raise RuntimeError("out of order")
