"""TCP connections that can be cut, in a process of their own between brokers and who talks to them.

A cut is a network's: nothing is refused or closed, nothing arrives; what was on its way arrives late, when
the connection is whole again.

The process is told by lines of JSON on its standard input, answers each with a line, and ends with its input:
however its starter dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple, Self

from plexstream.testing.errors import KafkaUnavailableError

_PIECE = 1 << 16


class Wire(NamedTuple):
    """What comes to `listen` goes to `target`, both host and port. Several may share a name, and a cut."""

    name: str
    listen: tuple[str, int]
    target: tuple[str, int]


class Wires:
    """The process that passes on. Use it as a context manager.

    Raises:
        KafkaUnavailableError: it cannot listen somewhere.
    """

    def __init__(self, wires: Iterable[Wire]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "plexstream.testing.kafka.cluster.wires"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        answer = self._tell(list(wires))
        if answer != "ok":
            self.close()
            raise KafkaUnavailableError(
                f"the wires between the brokers: {answer or 'their process ended'}. Each way between two "
                "brokers has a loopback address of its own: Linux has them all, elsewhere add them to lo0"
            )

    def cut(self, names: Iterable[str]) -> None:
        """Cut precisely these: what was cut and is not among them is whole again."""
        self._tell(sorted(names))

    def close(self) -> None:
        """End the process, and every connection with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, what: object) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


class _Passing:
    """All connections, and which of them are whole."""

    def __init__(self) -> None:
        self._whole: dict[str, asyncio.Event] = {}

    async def listen(self, wires: Iterable[Wire]) -> None:
        for wire in wires:
            self._whole.setdefault(wire.name, asyncio.Event()).set()

            async def accepted(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Wire = wire
            ) -> None:
                await self._pass(wire, reader, writer)

            await asyncio.start_server(accepted, *wire.listen)

    def cut(self, names: list[str]) -> None:
        for name, whole in self._whole.items():
            if name in names:
                whole.clear()
            else:
                whole.set()

    async def _pass(self, wire: Wire, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        whole = self._whole[wire.name]
        await whole.wait()
        try:
            far, forth = await asyncio.open_connection(*wire.target)
        except OSError:
            back.transport.abort()
            return
        await asyncio.gather(_pump(near, forth, whole), _pump(far, back, whole))


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, whole: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while piece := await source.read(_PIECE):
            await whole.wait()
            sink.write(piece)
            await sink.drain()
    await whole.wait()  # an end is news, too
    sink.close()


async def _serve() -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    passing = _Passing()
    answer = "ok"
    try:
        wires = json.loads(await commands.readline())
        await passing.listen(Wire(name, (*listen,), (*target,)) for name, listen, target in wires)
    except OSError as error:
        answer = str(error)
    print(answer, flush=True)
    while line := await commands.readline():
        passing.cut(json.loads(line))
        print("ok", flush=True)


if __name__ == "__main__":
    asyncio.run(_serve())
