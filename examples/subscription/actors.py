"""A subscription: charged once for every period, until it has run for a year."""

import os

import httpx

from plexstream import Retry, actor, handler, host, state

BANK = os.environ.get("OUTSIDE", "http://localhost:9000")
MONTH = float(os.environ.get("MONTH", "0.1"))  # seconds; in earnest: host.remind(…, cron="0 6 1 * *")


@actor
class Subscription:
    price: int = state(default=0)
    months: int = state(default=0)
    receipts: list[str] = state(default_factory=list)

    @handler("start")
    def start(self, price: int, months: int) -> None:
        self.price = price
        self.months = months
        host.remind("renew", "renew", every=MONTH)

    @handler("renew")
    def renew(self) -> None:
        month = len(self.receipts) + 1
        receipt = host.run("charge", charge, host.self_id(), month, self.price, retry=Retry(attempts=20))
        self.receipts.append(receipt)
        if month == self.months:
            host.forget("renew")

    @handler("get", read_only=True)
    def get(self) -> dict:
        return {"receipts": self.receipts, "pending": list(host.reminders())}


def charge(subscription: str, month: int, price: int) -> str:
    """May be called again after a crash: the bank knows by the key that it is the same charge."""
    headers = {"idempotency-key": f"{subscription}/{month}"}
    answer = httpx.post(f"{BANK}/charges", json={"month": month, "price": price}, headers=headers)
    receipt: str = answer.raise_for_status().json()["receipt"]
    return receipt
