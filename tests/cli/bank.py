from plexstream import Reject, actor, handler, host, state, state_list, state_map


@actor
class Account:
    balance: int = state(default=0)
    notes: dict[str, str] = state_map()
    moves: list[int] = state_list()

    @handler("deposit")
    def deposit(self, amount: int) -> dict:
        if amount < 0:
            raise Reject("an amount is positive", {"amount": amount})
        self.balance += amount
        self.moves.append(amount)
        host.emit("deposits", {"amount": amount})
        return {"balance": self.balance}

    @handler("note")
    def note(self, key: str, text: str | None = None) -> None:
        if text is None:
            del self.notes[key]
        else:
            self.notes[key] = text

    @handler("later")
    def later(self, amount: int, delay: float) -> str:
        return host.send_after(delay, "deposit", amount=amount)

    @handler("broken")
    def broken(self) -> None:
        raise RuntimeError("broken")

    @handler("balance", read_only=True)
    def get(self) -> int:
        return self.balance
