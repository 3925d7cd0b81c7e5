"""``host.saga()``: takes back, step by step, what a handler has done before something went wrong.

H. Garcia-Molina and K. Salem, "Sagas", SIGMOD 1987: every step has a compensation; where a step fails, those
of the steps before it run in the reverse order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self

from plexstream.sdk.errors import Reject, SagaFailed
from plexstream.sdk.host.steps import TaskApi
from plexstream.sdk.host.waiting import Handle
from plexstream.sdk.running.values import arguments_of
from plexstream.sdk.spec import Retry, check_retry


class _Compensation(NamedTuple):
    name: str
    start: Callable[[], Handle[Any]]


class Saga:
    """Compensations, gathered as a handler goes on, that run in the reverse order where it fails.

    As ``async with host.saga() as saga:`` (``with`` in a plain ``def`` handler) an error within undoes
    everything and becomes `SagaFailed`, which carries the report. Otherwise call `undo`.
    """

    def __init__(self, task: TaskApi) -> None:
        self._task = task
        self._compensations: list[_Compensation] = []
        self._undone: list[str] = []
        self._left: list[dict[str, str]] = []

    def add(
        self, name: str, function: Callable[..., Any], /, *arguments: Any, retry: Retry | None = None
    ) -> None:
        """Undo by calling a function, as `host.run` does: tried again as `retry` says, at least once.

        Add it before the step that it undoes where that may take effect and still fail.

        Parameters:
            name: of the compensation, in the journal and in the report.
            function, arguments: what to call.
            retry: how it is tried again when it raises; default: as the handler.
        """
        if not callable(function):
            raise TypeError(f"saga.add({name!r}, …): {type(function).__name__} cannot be called")
        if retry is not None:
            check_retry(f"saga.add({name!r}, …)", retry)
        self._compensations.append(
            _Compensation(name, lambda: self._task.run(name, function, arguments, retry))
        )

    def ask(self, to: str, handler: str, payload: Any = None, /, **arguments: Any) -> None:
        """Undo by calling an actor; in the report as ``to handler``. Give that handler a `retry` of its own.

        Parameters:
            to: an address, ``type/id`` for short.
            handler: the name of its handler.
            payload, arguments: the handler's arguments, as a dict or as keywords.
        """
        given = arguments_of("saga.ask", payload, arguments)
        self._compensations.append(
            _Compensation(f"{to} {handler}", lambda: self._task.ask(to, handler, given))
        )

    def undo(self) -> Any:
        """Run the compensations, the latest first, each to its end; awaited in an ``async def`` handler.

        It goes on when one fails, and a cancellation does not stop it. What was undone is not undone again.

        Returns:
            The report: ``{"undone": [name, …], "not_undone": [{"name": …, "error": …}, …]}``.
        """
        return self._undo() if self._task.blocking else self._undo_async()

    def _undo(self) -> dict[str, Any]:
        for handle in self._handles():
            while not handle.done():
                with suppress(Exception):  # its own, which is told by `_handles`, or a cancellation
                    handle.wait()
        return self._report()

    async def _undo_async(self) -> dict[str, Any]:
        for handle in self._handles():
            while not handle.done():
                with suppress(Exception):
                    await handle
        return self._report()

    def _handles(self) -> Iterator[Handle[Any]]:
        """What is to be waited for, one after the other, and what comes of it."""
        while self._compensations:
            compensation = self._compensations.pop()
            try:
                handle = compensation.start()
                yield handle
                handle.result()
            except Exception as error:
                self._left.append({"name": compensation.name, "error": _text(error)})
            else:
                self._undone.append(compensation.name)

    def _report(self) -> dict[str, Any]:
        return {"undone": list(self._undone), "not_undone": list(self._left)}

    def _fail(self, error: Exception, report: dict[str, Any]) -> NoReturn:
        left = ", ".join(f"{row['name']} ({row['error']})" for row in report["not_undone"])
        undone = ", ".join(report["undone"]) or "nothing to undo"
        what = f"not undone: {left}" if left else f"undone: {undone}"
        raise SagaFailed(f"{_text(error)}; {what}", report) from error

    def __enter__(self) -> Self:
        if not self._task.blocking:
            raise TypeError("an async def handler writes: async with host.saga() as saga")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._fail(error, self._undo())

    async def __aenter__(self) -> Self:
        if self._task.blocking:
            raise TypeError("a plain def handler writes: with host.saga() as saga")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._fail(error, await self._undo_async())


def _text(error: Exception) -> str:
    """What a caller should read of an error."""
    if isinstance(error, Reject):
        return error.reason
    detail = getattr(error, "detail", "")
    return detail if isinstance(detail, str) and detail else f"{type(error).__name__}: {error}"
