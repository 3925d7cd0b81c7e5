"""Operations in a handler: their calls are its steps."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from plexstream.sdk.host.coordination.operation import Call, Course, Effect, Operation, Outcome
from plexstream.sdk.host.steps import MAX_SLEEP, TaskApi, task
from plexstream.sdk.host.waiting import First, Handle
from plexstream.sdk.running.values import milliseconds


def operate(steps: Operation[Any], own: str) -> Any:
    """Run an operation. In a plain ``def`` handler its result; else what an ``async def`` handler awaits.

    Parameters:
        own: the address of the actor whose handler it is: what it calls is of its tenant and namespace.
    """
    api = task("…")
    going = Going(_calls(api, steps, own))
    return going.result() if api.blocking else going


class Going:
    """An operation under way. Its first calls are made, also where nobody awaits it."""

    def __init__(self, calls: Generator[Any, None, Any]) -> None:
        self._calls = calls
        self._waits: Any = None
        self._value: Any = None
        self._error: BaseException | None = None
        self._over = False
        self._go_on()

    def result(self) -> Any:
        """What came of it: returned or raised. Only once it is over."""
        assert self._over
        if self._error is not None:
            raise self._error
        return self._value

    def __await__(self) -> Generator[Any, None, Any]:
        while not self._over:
            try:
                yield self._waits
            except Exception as error:
                self._go_on(error)
            else:
                self._go_on()
        return self.result()

    def _go_on(self, error: Exception | None = None) -> None:
        try:
            self._waits = next(self._calls) if error is None else self._calls.throw(error)
        except StopIteration as end:
            self._over, self._value = True, end.value
        except Exception as failure:
            self._over, self._error = True, failure


def _calls(api: TaskApi, steps: Operation[Any], own: str) -> Generator[Any, None, Any]:
    parts = own.split("/")
    prefix = f"{parts[0]}/{parts[1]}/" if len(parts) == 4 else ""

    def start(call: Call | Effect) -> Handle[Any]:
        if isinstance(call, Effect):
            return api.run(call.name, call.function, call.arguments, None)
        return api.ask(f"{prefix}{call.type}/{call.id}", call.handler, call.arguments)

    course = Course(steps)
    calls = course.begin()
    while calls:
        handles = [start(call) for call in calls]
        timers = _timers(api, calls)
        try:
            outcomes = yield from _outcomes(api, list(zip(calls, handles, strict=True)), timers)
        except Exception as error:  # the handler itself is cancelled
            calls = course.throw(error)
        else:
            calls = course.go_on(outcomes)
    return course.value


def _timers(api: TaskApi, calls: Sequence[Call]) -> dict[float | None, Handle[None]]:
    """What ends the wait for calls that have a limit: one for all that have the same."""
    limits = dict.fromkeys(call.limit for call in calls if call.limit is not None)
    return {
        limit: api.sleep(api.now() + milliseconds("a limit of", limit, MAX_SLEEP)) for limit in limits
    }


def _outcomes(
    api: TaskApi,
    made: list[tuple[Call, Handle[Any]]],
    timers: dict[float | None, Handle[None]],
) -> Generator[Any, None, list[Outcome]]:
    found: list[Outcome] = []
    for call, handle in made:
        timer = timers.get(call.limit)
        if timer is not None:
            first = First(api, (handle, timer), False)
            if api.blocking:
                first.wait()
            else:
                yield from first.__await__()
            if not handle.done():
                timer.result()  # which raises where the handler is cancelled: its time is not up
                api.withdraw(handle)
                late = api.timed_out(f"{handle.name}: after {call.limit} s", [handle, timer])
                found.append(Outcome(None, late))
                continue
        try:
            value = handle.wait() if api.blocking else (yield from handle.__await__())
        except Exception as error:
            if not handle.failed_with(error):
                raise
            found.append(Outcome(None, error))
        else:
            found.append(Outcome(value, None))
    return found
