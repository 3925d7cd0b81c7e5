"""Sign-up: an account is opened once the link in an e-mail has been followed."""

import os
import secrets

import httpx

from plexstream import (
    Retry,
    actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    workflow,
)

MAIL = os.environ.get("OUTSIDE", "http://localhost:9000")
DAY = 86400.0


@workflow
class Signup:
    status: str = state(default="new")
    token: str = state(default="")

    @run_handler
    async def run(self, email: str, patience: float = 3 * DAY) -> dict:
        """Send the e-mail, and wait for `patience` seconds."""
        self.token = await host.run("make a token", secrets.token_urlsafe)
        self.status = "waiting"
        await host.run("send the e-mail", send, host.self_id(), email, self.token, retry=Retry(attempts=20))
        what, _ = await host.select(
            confirmed=host.promise("confirmed"), expired=host.start.sleep(patience)
        )
        if what == "confirmed":
            await host.ask(f"account/{email}", "open")
        self.status = what
        return {"email": email, "status": self.status}

    @signal_handler()
    def confirm(self, token: str) -> bool:
        """Followed the link. Whoever follows it twice is told the same twice."""
        right = self.status != "new" and secrets.compare_digest(token, self.token)
        if right and host.promise("confirmed").peek() is None:
            host.promise("confirmed").resolve(True)
        return right

    @query_handler("get")
    def get(self) -> str:
        return self.status


@actor
class Account:
    opened: int = state(default=0)

    @handler("open")
    def open(self) -> None:
        self.opened += 1

    @handler("get", read_only=True)
    def get(self) -> int:
        return self.opened


def send(signup: str, email: str, token: str) -> None:
    """May be called again after a crash: the mail service knows by the key that it is the same e-mail."""
    headers = {"idempotency-key": f"{signup}/email"}
    httpx.post(f"{MAIL}/emails", json={"to": email, "token": token}, headers=headers).raise_for_status()
