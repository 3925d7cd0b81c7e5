"""One payment, from the call of the shop to the webhook of the provider."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect, until

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []
AMOUNT = 1999


def play(stage: Stage, id: str) -> None:
    """Pay; ids that begin with "poor" have no money."""
    payment = f"payment/{id}"
    paying = stage.start(payment, "pay", f"{id}-pay", amount=AMOUNT)
    [charge] = until("a charge", lambda: stage.outside.effects(payment))
    expect("what is charged", charge.body["amount"], AMOUNT)
    status = "declined" if id.startswith("poor") else "paid"
    receipt = "" if status == "declined" else f"receipt of {id}"
    stage.webhook(charge.body["webhook"], {"status": status, "receipt": receipt})

    paid = paying.result()
    expect("the answer", paid, {"status": status, "receipt": receipt})
    expect("the payment", stage.ask(payment, "get", f"{id}-get"), paid)
    expect("charges", len(stage.outside.effects(payment)), 1)
    if status == "paid":
        until("the books have it", lambda: payment in (stage.look("books/all", "get") or {}))
        expect("the books", stage.look("books/all", "get")[payment], AMOUNT)
