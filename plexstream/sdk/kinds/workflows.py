"""Services and workflows: the kinds of actors whose handlers wait for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from plexstream.sdk.declaring.declare import compose, declare
from plexstream.sdk.declaring.marks import HandlerMark, Marked, check_name, method_name, put_mark
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.spec import ActorType, Retry, Role

F = TypeVar("F", bound=Callable[..., Any])

RUN = "run"
RETENTION = 7 * 86400.0
"""Seconds for which a workflow's result is kept, unless its declaration says otherwise."""


def service(cls: Any = None, /, **options: Any) -> Any:
    """Declare a class as a service: it has no state, and all its handlers run at the same time.

    Its ids only spread the calls over partitions: ``mailer/1``, ``mailer/2`` are the same service.

    Parameters:
        options: as for `actor`.
    """
    if cls is None:
        return lambda c: declare(c, _service, **options)
    return declare(cls, _service)


def workflow(cls: Any = None, /, *, retention: float = RETENTION, **options: Any) -> Any:
    """Declare a class as a workflow: its `run_handler` runs once for each id, for minutes or months.

    Asking ``run`` again, during the run or after it, waits for its result and gives it. Signals and queries
    are answered meanwhile, and see its state as of its latest step.

    Parameters:
        retention: seconds for which the result is kept after the last turn; then the id is free again.
        options: as for `actor`.
    """
    given: object = retention
    if not isinstance(given, int | float) or not given > 0:
        raise DeclarationError(f"workflow(retention={retention!r}): give a number of seconds above 0")
    if "state_ttl" in options:
        raise DeclarationError("workflow(state_ttl=…): a workflow is kept for its retention; give that")
    if cls is None:
        return lambda c: declare(c, _workflow, state_ttl=retention, **options)
    return declare(cls, _workflow, state_ttl=retention)


workflow_actor = workflow


def run_handler(function: F | None = None, /, *, retry: Retry | None = None) -> Any:
    """Declare the method that is a workflow's run; its message is called ``run``.

    Parameters:
        retry: how it goes on from its latest step after an error; default: as its type says.
    """
    if function is None:
        return lambda f: run_handler(f, retry=retry)
    put_mark(function, HandlerMark((RUN,), role="run", retry=retry))
    return function


@overload
def signal_handler(function: F, /) -> F: ...
@overload
def signal_handler(*names: str) -> Callable[[F], F]: ...


def signal_handler(*names: Any) -> Any:
    """Declare a method of a workflow that takes a message while it runs. It may change state, or wait.

    One that waits runs beside the run, and changes nothing but promises.

    Parameters:
        names: of messages; default: the method's name.
    """
    return _meanwhile("signal", names)


@overload
def query_handler(function: F, /) -> F: ...
@overload
def query_handler(*names: str) -> Callable[[F], F]: ...


def query_handler(*names: Any) -> Any:
    """Declare a method of a workflow that only reads, at any time; it answers HTTP GET too.

    Parameters:
        names: of messages; default: the method's name.
    """
    return _meanwhile("query", names)


def _meanwhile(role: Role, names: tuple[Any, ...]) -> Any:
    if len(names) == 1 and not isinstance(names[0], str):
        return _meanwhile(role, ())(names[0])  # without parentheses

    def mark(function: F) -> F:
        own = names or (method_name(f"{role}_handler", function),)
        for name in own:
            check_name(role, name)
        put_mark(function, HandlerMark(own, role == "query", role=role))
        return function

    return mark


def _service(spec: ActorType, found: list[Marked]) -> None:
    if spec.fields:
        raise DeclarationError(
            f"{spec.cls.__name__} is a service, which has no state, but declares "
            f"{', '.join(sorted(spec.fields))}: use @actor, or keep the state in another actor"
        )
    compose(spec, found)
    spec.kind = "service"


def _workflow(spec: ActorType, found: list[Marked]) -> None:
    compose(spec, found, roles=True)
    if RUN not in spec.handlers or spec.handlers[RUN].role != "run":
        raise DeclarationError(f"{spec.cls.__name__} is a workflow without a @run_handler")
    for handler in spec.handlers.values():
        if not handler.role and not handler.read_only:
            raise DeclarationError(
                f"{spec.cls.__name__}.{handler.name}: a workflow has one @run_handler, and besides it "
                "@signal_handler and @query_handler"
            )
    spec.kind = "workflow"
