"""An actor that does any operation, in a plain and in an ``async def`` handler."""

from plexstream import actor, handler, host


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
