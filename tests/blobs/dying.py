"""An application whose node kills itself, once, after the bytes of a blob are put and before it is named."""

import os
import signal
from pathlib import Path

from plexstream import actor, handler, host
from plexstream.sdk.host.coordination.kept.blobs import Names

DIE = Path(os.environ["PLEXSTREAM_DYING"])
_commit = Names._commit


def _die_first(self, name, content_type, put):
    if name == "a" and DIE.exists():
        DIE.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return (yield from _commit(self, name, content_type, put))


Names._commit = _die_first


@actor
class Anybody:
    @handler("here")
    def here(self) -> bool:
        return True


@actor
class Painter:
    @handler("paint")
    def paint(self, name: str, text: str) -> str:
        return host.blobs.upload(name, text).hash
