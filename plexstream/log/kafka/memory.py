"""How long brokers remember a producer that sends nothing."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any

from confluent_kafka.admin import AdminClient, ConfigResource

from plexstream.log.kafka.pace import FORGETS_S

_SETTINGS = ("producer.id.expiration.ms", "transactional.id.expiration.ms")  # the second before Kafka 3.4
_MARGIN = 0.5
"""Clocks of brokers and clients differ, and a record may be on its way for long."""
_TIMEOUT_S = 15.0


class Memory:
    """What the brokers' settings say of it. Nobody waits for their answers: until then it is `FORGETS_S`."""

    def __init__(self) -> None:
        self._asked: list[Future[Any]] | None = None
        self._seconds = FORGETS_S

    def ask(self, admin: AdminClient, brokers: Iterable[int]) -> None:
        """Ask each of the brokers, once."""
        if self._asked is None:
            self._asked = [
                future
                for id in brokers
                for future in admin.describe_configs(
                    [ConfigResource(ConfigResource.Type.BROKER, str(id))], request_timeout=_TIMEOUT_S
                ).values()
            ]

    def seconds(self) -> float:
        """After so many seconds a broker may have forgotten a producer."""
        if self._asked and all(future.done() for future in self._asked):
            asked, self._asked = self._asked, []
            # Not everybody may read settings: then the assumption stays.
            if not any(future.exception() for future in asked):
                self._seconds = min(map(_expiration_s, (future.result() for future in asked))) * _MARGIN
        return self._seconds


def _expiration_s(settings: dict[str, Any]) -> float:
    for name in _SETTINGS:
        if name in settings:
            return int(settings[name].value) / 1000
    return FORGETS_S
