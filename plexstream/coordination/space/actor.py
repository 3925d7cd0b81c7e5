"""The actor of a tuple space, or of one shard of it: what it can be told and asked."""

from __future__ import annotations

from typing import Any, Final

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count, milliseconds
from plexstream.coordination.space.content import Answer, Content, Entry, Row, read_name
from plexstream.coordination.space.offers import GO_ON, Offers
from plexstream.coordination.space.patterns import MAX_BYTES, MAX_FIELDS, checked, pattern_of, read_pattern
from plexstream.coordination.space.search import UNITS, Budget, Cursor, Search, checked_cursor
from plexstream.coordination.space.transaction import MOST, Told, Transaction, lease
from plexstream.coordination.space.waiting import (
    NOTIFY,
    READ,
    TAKE,
    Waiter,
    Waiting,
    answer,
    check_receiver,
    dismiss,
)
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_INDEXED: Final = 8
_SHOWN = 100
_SWAP = 3
_SEARCH_ON = "search_on"


@actor(name="plex.space")
class TupleSpace:
    """Keeps tuples, finds them by patterns, and gives each that is taken to one who takes it.

    A search looks at so much in one turn. One that is not decided by then goes on in the next, and is as if
    it had been made as a whole in the last: by age, what comes meanwhile is in front of it; by value, what
    has come is looked for in the end.
    """

    tuples: StateMap[tuple[int, int], Row] = state_map()
    index: StateMap[tuple[int, str, int], int] = state_map()
    waiters: StateMap[int, Waiter] = state_map()
    subscriptions: StateMap[int, Waiter] = state_map()
    queue: StateMap[tuple[int, str, int], int] = state_map()
    searches: StateMap[int, list[Any]] = state_map()
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)
    fields: list[int] = state(default_factory=lambda: [0, 1, 2])
    sizes: dict[str, int] = state(default_factory=dict)
    queued: dict[str, int] = state(default_factory=dict)
    latest: int = state(default=0)
    events: int = state(default=0)
    arrivals: int = state(default=0)

    @handler("configure")
    def configure(self, index: list[int]) -> list[int]:
        """Say by which fields tuples are looked for, by position; default: the first three.

        Only while nothing is in the space and nobody waits. Answers the positions.
        """
        wrong = [p for p in index if isinstance(p, bool) or not 0 <= p < MAX_FIELDS]
        if wrong or len(index) > MAX_INDEXED or len({*index}) < len(index):
            what = f"at most {MAX_INDEXED} positions from 0 to {MAX_FIELDS - 1}, each once"
            raise Reject(f"an index of {index!r:.80}: give {what}")
        if index != self.fields and (self.sizes or self.queued or self.searches):
            raise Reject(f"the index is of {self.fields}, and stays while tuples are in it or somebody waits")
        self.fields = index
        return index

    # Tuples

    @handler("write")
    def write(self, tuple: list[Any], ttl: float | None = None) -> Answer:
        """Write a tuple, with a lease of `ttl` seconds; null: it stays. Answers its id and when it ends."""
        entry = Offers(self, Budget()).write(tuple, lease(ttl), host.sender())
        return {"id": entry.id, "due": entry.due}

    @handler("write_many")
    def write_many(self, tuples: list[list[Any]], ttl: float | None = None) -> list[Answer]:
        """Write tuples, all or none, in their order."""
        count("the number of tuples", len(tuples), MOST)
        due, by, offers = lease(ttl), host.sender(), Offers(self, Budget())
        entries = [offers.write(one, due, by) for one in tuples]
        return [{"id": entry.id, "due": entry.due} for entry in entries]

    @handler("read")
    def read(self, pattern: list[Any], wait: float | None = 0) -> Answer | None:
        """A tuple that matches, waiting for one `wait` seconds (null: for ever); null: there was none."""
        return self._look(READ, pattern, wait)

    @handler("take")
    def take(self, pattern: list[Any], wait: float | None = 0) -> Answer | None:
        """The same, and it leaves the space."""
        return self._look(TAKE, pattern, wait)

    @handler("swap")
    def swap(self, pattern: list[Any], tuple: list[Any], ttl: float | None = None) -> Answer | None:
        """Take a tuple that matches, and write another in its place. Null: none matches, nothing is done."""
        lease(ttl)
        checked("a tuple", tuple)
        return self._look(_SWAP, pattern, 0, [tuple, ttl])

    @handler("peek", read_only=True)
    def peek(self, pattern: list[Any]) -> tuple[Answer | None, bool]:
        """A tuple that matches, null: none does; and whether that is decided: else `read` looks further."""
        search = Search(self, pattern_of(pattern), Budget())
        entry = next(iter(search), None)
        if entry is None:
            return None, search.after is None
        return entry.answer(), True

    @handler("read_all", read_only=True)
    def read_all(self, pattern: list[Any], limit: int = MOST, after: Cursor | None = None) -> Answer:
        """A page of the tuples that match, and behind what the next begins; null: there is no more."""
        entries, stopped = self._page(pattern, limit, after)
        return {"entries": [entry.answer() for entry in entries], "after": stopped}

    @handler("take_all")
    def take_all(self, pattern: list[Any], limit: int = MOST, after: Cursor | None = None) -> Answer:
        """The same, and they leave the space."""
        entries, stopped = self._page(pattern, limit, after)
        content, by = Content(self), host.sender()
        for entry in entries:
            content.take(entry, by, by)
        return {"entries": [entry.answer() for entry in entries], "after": stopped}

    @handler("count", read_only=True)
    def count(self, pattern: list[Any] | None = None, after: Cursor | None = None) -> Answer:
        """How many tuples there are, or match; and behind what the next page begins, if there is more."""
        if pattern is None:
            return {"count": Content(self).count(), "after": None}
        search = Search(
            self, pattern_of(pattern), Budget(4 * UNITS), checked_cursor(after), late=False
        )
        known = search.known()
        return {"count": sum(1 for _ in (search if known is None else known)), "after": search.after}

    @handler("transaction")
    def transaction(self, operations: list[Told]) -> list[Any]:
        """Do several operations, all or none. The rejection has the index of the one that cannot be done."""
        return Transaction(self).run(operations)

    # Leases

    @handler("renew")
    def renew(self, id: int, ttl: float | None = None) -> Answer:
        """Let the lease of a tuple end in `ttl` seconds; null: never. Rejected where it has ended."""
        entry, due = Content(self).find(id), lease(ttl)
        Content(self).renew(entry, due)
        return {"id": id, "due": due}

    @handler("cancel")
    def cancel(self, id: int) -> None:
        """End the lease of a tuple now. Rejected where it has ended."""
        content = Content(self)
        content.take(content.find(id), host.sender(), "")

    @handler("notify")
    def notify(self, pattern: list[Any], to: str, handler: str, ttl: float | None = None) -> Answer:
        """Let the actor `to` be told of every tuple that matches and is written from now on.

        Its handler gets space, tuple, subscription, and number: how many it was told with this one.
        """
        wanted, due, waiting = pattern_of(pattern), lease(ttl), Waiting(self)
        check_receiver(to, handler)
        number = waiting.arrive()
        waiting.add(number, NOTIFY, [to, handler], wanted, due, host.now(), host.sender())
        return {"id": number, "due": due}

    @handler("renew_notify")
    def renew_notify(self, id: int, ttl: float | None = None) -> Answer:
        """Let a subscription end in `ttl` seconds; null: never. Rejected where it has ended."""
        waiting, due = Waiting(self), lease(ttl)
        waiting.renew(waiting.subscription(id), due)
        return {"id": id, "due": due}

    @handler("cancel_notify")
    def cancel_notify(self, id: int) -> None:
        """End a subscription now. Rejected where it has ended."""
        waiting = Waiting(self)
        waiting.remove(waiting.subscription(id))

    @handler("__alarm__")
    def alarm(self) -> None:
        """End what has come to its end."""
        agenda, budget = Agenda(self), Budget(2 * UNITS)
        content, waiting = Content(self), Waiting(self)
        for what in agenda.due():
            if budget.left <= 0:
                agenda.put(host.now(), what)
            elif what[0] == "e":
                budget.spend(content.expire(*read_name(what[1:])))
            else:
                budget.spend()
                waiting.expire(int(what[1:]), what[0] == "n")

    # What it tells itself

    @handler(_SEARCH_ON)
    def search_on(self, number: int) -> None:
        """Go on with a search that was too much for one turn."""
        self._check_own()
        row = self.searches.get(number)
        if row is None:
            return
        kind, token, text, due, since, by, after, new = row
        try:
            pattern = read_pattern(text)
            search = Search(self, pattern, Budget(), after)
            found = next(iter(search), None)
        except Reject as error:
            del self.searches[number]
            dismiss(token, error.reason)
            return
        if found is None and search.after is not None:
            self.searches[number] = [*row[:6], search.after, new]
            host.tell(host.self_id(), _SEARCH_ON, number=number)
            return
        del self.searches[number]
        if found is not None:
            if answer(token, found.answer()):
                self._had(kind, found, by, new)
        elif due is None or due > host.now():
            Waiting(self).add(number, kind, token, pattern, due or 0, since, by)
        else:
            answer(token, None)

    @handler(GO_ON)
    def offer_on(self, entry: list[Any], kind: int, after: int, last: int) -> None:
        """Go on with an offer that was too much for one turn."""
        self._check_own()
        Offers(self, Budget()).go_on(entry, kind, after, last)

    @handler("status", read_only=True)
    def status(self) -> Answer:
        """What is in the space, and who waits, since when: the first hundred."""
        waiting = Waiting(self)
        waiters, subscriptions = waiting.shown(_SHOWN)
        return {
            "tuples": Content(self).count(),
            "latest": self.latest,
            "events": self.events,
            "index": self.fields,
            "searches": self.searches.count(),
            "reads": waiting.count(READ),
            "takes": waiting.count(TAKE),
            "waiting": waiters,
            "subscribed": waiting.count(NOTIFY),
            "subscriptions": subscriptions,
        }

    def _check_own(self) -> None:
        if host.sender() != host.self_id():
            raise Reject("only the space itself tells itself to go on: call read, take, write, …")

    def _look(
        self, kind: int, wire: list[Any], wait: float | None, new: list[Any] | None = None
    ) -> Answer | None:  # fmt: skip
        pattern, now = pattern_of(wire), host.now()
        # When it ends: None: never; now: it does not wait.
        due = None if wait is None else now if wait == 0 else now + milliseconds("wait", wait)
        search = Search(self, pattern, Budget())
        found = next(iter(search), None)
        by = host.sender()
        if found is not None:
            self._had(kind, found, by, new)
            return found.answer()
        if search.after is None and due == now:
            return None
        token = host.defer()
        if not token:
            return None  # a tell: nobody waits
        number = Waiting(self).arrive()
        if search.after is None:
            Waiting(self).add(number, kind, token, pattern, due or 0, now, by)
        else:
            self.searches[number] = [kind, token, pattern.text, due, now, by, search.after, new]
            host.tell(host.self_id(), _SEARCH_ON, number=number)
        return None

    def _had(self, kind: int, found: Entry, by: str, new: list[Any] | None) -> None:
        """What was found by a read, a take or a swap is given."""
        if kind != READ:
            Content(self).take(found, by, by)
        if new is not None:
            Offers(self, Budget()).write(new[0], lease(new[1]), by)

    def _page(
        self, wire: list[Any], limit: int, after: Cursor | None
    ) -> tuple[list[Entry], Cursor | None]:  # fmt: skip
        count("limit", limit, MOST)
        search = Search(self, pattern_of(wire), Budget(), checked_cursor(after), late=False)
        entries: list[Entry] = []
        bytes, stopped = 0, search.after
        for entry in search:
            bytes += entry.bytes
            if entries and bytes > MAX_BYTES:
                return entries, stopped
            entries.append(entry)
            stopped = search.after
            if len(entries) == limit:
                return entries, stopped
        return entries, search.after
