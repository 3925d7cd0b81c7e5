"""Completing what handlers wait for, and what can be done to handlers that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from plexstream.cli.calls.calls import Address, Timeout, Url, parse_value, reaching
from plexstream.cli.common import options
from plexstream.cli.common.output import App, stdout

if TYPE_CHECKING:
    from plexstream.client import Client

awakeables = App(help="Complete what a handler waits for, by its id.")
promises = App(help="Complete a promise of an actor, by its name.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As host.awakeable().id gave it: awk_….")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the promise.")]
Value = Annotated[
    str, typer.Argument(metavar="[JSON]", help="The value; what is no JSON is text (default null).")
]
Reason = Annotated[str, typer.Argument(metavar="REASON", help="Text of the error that the handler gets.")]
Invocation = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS[#NUMBER] | ID",
        help="As `plexstream ps` lists it; the number may be left out where one handler waits. Or inv_….",
    ),
]


@awakeables.command("resolve")
def resolve_awakeable(
    id: Id, value: Value = "null", url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Give an awakeable its value: the handler that made it goes on.

    [bold]Example[/]

      plexstream awakeable resolve awk_ZGVmYXVsdC9… '{"paid": true}'
    """
    with reaching(url, kafka, prefix, config) as client:
        client.resolve_awakeable(id, parse_value(value), timeout=timeout)


@awakeables.command("reject")
def reject_awakeable(
    id: Id, reason: Reason, url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Let the handler that made an awakeable get a Rejected error.

    [bold]Example[/]

      plexstream awakeable reject awk_ZGVmYXVsdC9… "the card was declined"
    """
    with reaching(url, kafka, prefix, config) as client:
        client.reject_awakeable(id, reason, timeout=timeout)


@promises.command("resolve")
def resolve_promise(
    address: Address, name: Name, value: Value = "null", url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Give a promise its value: who waits for it goes on, and who asks for it later has it at once.

    [bold]Example[/]

      plexstream promise resolve signup/alice confirmed true
    """
    with reaching(url, kafka, prefix, config) as client:
        client.resolve_promise(address, name, parse_value(value), timeout=timeout)


@promises.command("reject")
def reject_promise(
    address: Address, name: Name, reason: Reason, url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Let who waits for a promise get a Rejected error.

    [bold]Example[/]

      plexstream promise reject signup/alice confirmed "no such mailbox"
    """
    with reaching(url, kafka, prefix, config) as client:
        client.reject_promise(address, name, reason, timeout=timeout)


def cancel(
    invocation: Invocation, url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Let a handler that waits get a Cancelled error where it waits: it may clean up first.

    [bold]Examples[/]

      plexstream cancel order/17
      plexstream cancel 'order/17#3' --kafka localhost:9092
    """
    _act("cancel", invocation, url, kafka, prefix, timeout, config)


def kill(
    invocation: Invocation, url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """End a handler that waits at once, without a word to its code. Its caller gets a Killed error.

    [bold]Example[/]

      plexstream kill 'order/17#3'
    """
    _act("kill", invocation, url, kafka, prefix, timeout, config)


def pause(
    invocation: Invocation, url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Keep a handler that waits from going on, whatever comes about, until it is resumed.

    [bold]Example[/]

      plexstream pause 'order/17#3'
    """
    _act("pause", invocation, url, kafka, prefix, timeout, config)


def resume(
    invocation: Invocation, url: Url = None, kafka: options.OverKafka = None,
    prefix: options.Prefix = None, timeout: Timeout = None, config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Let a paused handler go on; one that has failed or is stuck is tried again at once.

    [bold]Example[/]

      plexstream resume 'order/17#3'
    """
    _act("resume", invocation, url, kafka, prefix, timeout, config)


def restart(
    invocation: Invocation,
    step: Annotated[
        int, typer.Option("--from", min=0, help="Number of the step, as [cyan]journal show[/] tells.")
    ] = 0,
    url: Url = None, kafka: options.OverKafka = None, prefix: options.Prefix = None, timeout: Timeout = None,
    config: options.ConfigFile = None,
) -> None:  # fmt: skip
    """Let a handler that waits run again from a step, as if what is recorded since had not been.

    Side effects from that step on happen again. What was told to others stays told.

    [bold]Examples[/]

      plexstream restart 'order/17#3' --from 2
      plexstream restart order/17
    """
    _act("restart", invocation, url, kafka, prefix, timeout, config, (step,))


def _act(
    what: str, invocation: str, url: str | None, kafka: str | None, prefix: str | None,
    timeout: float | None, file: Any, more: tuple[int, ...] = (),
) -> None:  # fmt: skip
    from plexstream.model.messages.address import parse
    from plexstream.model.messages.control import read_invocation
    from plexstream.model.messages.idempotency import PREFIX, read_id

    by_id = invocation.startswith(PREFIX)
    address = read_id(invocation).address if by_id else read_invocation(invocation)[0]
    client: Client
    with reaching(url, kafka, prefix, file) as client:
        number = getattr(client, what)(invocation, *more, timeout=timeout)
    done = {
        "cancel": "is cancelled", "kill": "is killed", "pause": "is paused", "resume": "goes on",
        "restart": f"runs again from step {more[0] if more else 0}",
    }[what]  # fmt: skip
    stdout().print(f"{parse(address).short}#{number} {done}", markup=False)
