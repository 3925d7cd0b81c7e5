"""``doctor --repair`` and ``doctor --convert``: what they would do to the embedded log, and then do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import typer

from plexstream.cli.common.output import NO, stdout
from plexstream.model.errors import ConfigError

if TYPE_CHECKING:
    from plexstream.log.base import Place
    from plexstream.log.embedded.files.disk import Damage
    from plexstream.node.setup.config import Config


def mend(config: Config, convert: bool, yes: bool) -> None:
    """Repair or convert the embedded log that `config` names."""
    if config.kafka:
        raise ConfigError("--repair and --convert are for the embedded log: leave out --kafka")
    if not config.log_dir.is_dir():
        raise ConfigError(f"there is no embedded log in {config.log_dir}: name its folder with --data")
    if convert:
        _convert(config, yes)
    else:
        _repair(config, yes)


def _repair(config: Config, yes: bool) -> None:
    from plexstream.log.embedded.repair import repair
    from plexstream.node.partition.takeover.losses.proven import void

    out = stdout()
    damages = repair.examine(config.log_dir).damages
    proven: dict[Place, int] = {}
    if not damages:
        damages = _beyond(config, proven)
    if not damages:
        out.print(f"{config.log_dir} is whole: there is nothing to repair", soft_wrap=True, markup=False)
        return
    _tell(damages)
    if not (
        yes or typer.confirm("Go on without what is lost? Every file is kept in a copy beside the folder.")
    ):
        raise typer.Exit(NO)
    done = repair.repair(config.log_dir, partial(void, config.topics()), proven)
    out.print(f"Repaired. The folder as it was: {done.copy}", soft_wrap=True, markup=False)
    out.print("Next: start the node, and compare states with what you know of the time of the damage.")


def _beyond(config: Config, proven: dict[Place, int]) -> list[Damage]:
    """What the state stores prove to be missing. `proven` gets the ends that they know."""
    from plexstream.log.open import open_log
    from plexstream.node.partition.takeover.losses.proven import beyond

    topics = config.topics()
    log = open_log(config.log_url())
    try:
        return beyond(log, topics, config.state_dir, proven) if log.partitions(topics.journal) else []
    finally:
        log.close()


def _convert(config: Config, yes: bool) -> None:
    from plexstream.log.embedded.repair import legacy
    from plexstream.model.errors import LogDamaged

    lost: list[Damage] = []
    try:
        done = legacy.convert(config.log_dir)
    except LogDamaged as error:
        stdout().print(str(error), soft_wrap=True, markup=False)
        if not (yes or typer.confirm("Convert it without what is lost? The old files are kept.")):
            raise typer.Exit(NO) from error
        done = legacy.convert(config.log_dir, lost.append)
    _tell(lost)
    stdout().print(
        f"Converted {done.records} records in {done.topics} topics. The old files are in {done.old}: "
        "delete them once all is well",
        soft_wrap=True,
        markup=False,
    )


def _tell(damages: list[Damage]) -> None:
    for damage in damages:
        stdout().print(str(damage), soft_wrap=True, markup=False)
