"""Workers that fail when they are told to, and sometimes by themselves."""

from __future__ import annotations

from plexstream import Retry, actor, handler, host, init_handler, state


@actor(retry=Retry(attempts=1))
class Worker:
    n: int = state(default=0)

    @init_handler
    def init(self, config: dict) -> None:
        if host.random() < config.get("odds", 0):
            host.tell(host.self_id(), "fail")

    @handler("work")
    def work(self) -> int:
        self.n += 1
        return self.n

    @handler("fail")
    def fail(self) -> None:
        raise RuntimeError("boom")
