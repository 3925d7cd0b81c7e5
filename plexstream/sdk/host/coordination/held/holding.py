"""What is held while a block runs: got at its beginning, given back at its end."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Any, Generic, TypeVar

from plexstream.sdk.host.coordination.operation import Operation, Runner
from plexstream.sdk.host.steps import task
from plexstream.sdk.running.current import current

T = TypeVar("T")
_TWICE = "this hold is in use: call hold(), or borrow(), anew for each block"
_ASYNC = "an async def handler, and who has an AsyncClient, writes: async with …"


class Holding(Generic[T]):
    """``with`` in plain handlers and with a `Client`, ``async with`` in async handlers and an `AsyncClient`.

    What was got is given back also where the block raises. Where it is not held any more by then, since its
    lease has ended, the block's end raises what says so, and a handler's turn takes no effect; unless the
    block raises something itself. What ends a handler without its own doing, such as
    `host.continue_as_new` and the loss of its process, gives nothing back: the lease ends it. So it does
    where who waits is cancelled, and its turn comes all the same: say by `wait` how long to wait.

    It is for one block at a time. Of those under an idempotency key, each needs a key of its own: what is
    repeated has the grant that it had, be it over.

    Parameters:
        run: makes the calls.
        take: gets it. None is for what was not got in time.
        give_back: what it was.
        late: says that it was not got, for people.
    """

    def __init__(
        self, run: Runner, take: Callable[[], Operation[T | None]],
        give_back: Callable[[T], Operation[None]], late: str,
    ) -> None:  # fmt: skip
        self._run = run
        self._take = take
        self._give_back = give_back
        self._late = late
        self._got: T | None = None
        self._inside = False
        self._in_use = Lock()  # threads may share what hold() has returned

    def __enter__(self) -> T:
        if current.turn is not None and not task("hold").blocking:
            raise TypeError(_ASYNC)
        self._begin()
        try:
            found = self._run(self._take())
            if hasattr(found, "__await__"):  # a coroutine, which has not begun
                found.close()
                raise TypeError(_ASYNC)
            return self._held(found)
        except BaseException:
            self._in_use.release()
            raise

    async def __aenter__(self) -> T:
        self._begin()
        try:
            return self._held(await _value(self._run(self._take())))
        except BaseException:
            self._in_use.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        given_back = self._end()
        if self._gives_back(error):
            try:
                self._run(given_back)
            except Exception:
                if error is None:
                    raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        given_back = self._end()
        if self._gives_back(error):
            try:
                await _value(self._run(given_back))
            except Exception:
                if error is None:
                    raise

    def _held(self, found: T | None) -> T:
        if found is None:
            raise TimeoutError(self._late)
        self._got = found
        return found

    def _begin(self) -> None:
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError(_TWICE)
        self._inside = current.turn is not None

    def _end(self) -> Operation[None]:
        """What gives it back. Another block may begin."""
        assert self._got is not None
        given_back = self._give_back(self._got)
        self._in_use.release()
        return given_back

    def _gives_back(self, error: BaseException | None) -> bool:
        return error is None or isinstance(error, Exception) or not self._inside


async def _value(found: Any) -> Any:
    return await found if hasattr(found, "__await__") else found
