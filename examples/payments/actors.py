"""Payments: a card is charged by a provider that says later, by a webhook, what came of it."""

import os

import httpx

from plexstream import Retry, actor, handler, host, state

PROVIDER = os.environ.get("OUTSIDE", "http://localhost:9000")


@actor
class Payment:
    status: str = state(default="new")
    receipt: str = state(default="")

    @handler("pay")
    async def pay(self, amount: int) -> dict:
        """Charge `amount` cents, and wait for the provider: for seconds or for days."""
        webhook = host.awakeable()
        await host.run("charge", charge, host.self_id(), amount, webhook.id, retry=Retry(attempts=20))
        answer = await webhook
        self.status = answer["status"]
        self.receipt = answer.get("receipt", "")
        host.tell("books/all", "book", payment=host.self_id(), status=self.status, amount=amount)
        return {"status": self.status, "receipt": self.receipt}

    @handler("get", read_only=True)
    def get(self) -> dict:
        return {"status": self.status, "receipt": self.receipt}


@actor
class Books:
    paid: dict[str, int] = state(default_factory=dict)

    @handler("book")
    def book(self, payment: str, status: str, amount: int) -> None:
        if status == "paid":
            self.paid[payment] = self.paid.get(payment, 0) + amount

    @handler("get", read_only=True)
    def get(self) -> dict:
        return self.paid


def charge(payment: str, amount: int, webhook: str) -> None:
    """May be called again after a crash: the provider knows by the key that it is the same charge."""
    body = {"amount": amount, "webhook": f"awakeables/{webhook}/resolve"}
    headers = {"idempotency-key": f"{payment}/charge"}
    httpx.post(f"{PROVIDER}/charges", json=body, headers=headers).raise_for_status()
