"""One sign-up, from the form to the link in the e-mail."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect, until

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []


def play(stage: Stage, id: str) -> None:
    """Sign up; those whose id begins with "late" do not follow the link in time."""
    late = id.startswith("late")
    signup, email = f"signup/{id}", f"{id}@example.org"
    result = stage.start(signup, "run", f"{id}-run", email=email, patience=0.3 if late else 600.0)
    [sent] = until("an e-mail", lambda: stage.outside.effects(signup))
    expect("its receiver", sent.body["to"], email)
    expect("a wrong token", stage.ask(signup, "confirm", f"{id}-wrong", token="guessed"), False)
    if not late:
        for click in ("first", "second"):
            expect("the link", stage.ask(signup, "confirm", f"{id}-{click}", token=sent.body["token"]), True)
    status = "expired" if late else "confirmed"
    expect("the result", result.result(), {"email": email, "status": status})
    again = stage.ask(signup, "run", f"{id}-again", email=email)
    expect("the same for who asks again", again, result.result())
    opened = stage.ask(f"account/{email}", "get", f"{id}-get")
    expect("the accounts opened", opened, 0 if late else 1)
    expect("the e-mails", len(stage.outside.effects(signup)), 1)
