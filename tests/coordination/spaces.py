"""A tuple space in a world, and a plain model of one: a list that is looked through."""

import json

from plexstream.model.journal.journal import OutKind
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope, with_deadline

SPACE = "plex.space/a"
TYPES = {
    "int": (int,), "float": (float,), "number": (int, float), "str": (str,), "bool": (bool,), "list": (list,),
    "dict": (dict,), "null": (type(None),),
}  # fmt: skip


class Space:
    def __init__(self, world, address=SPACE):
        self.world = world
        self.address = address

    def __getattr__(self, handler):
        return lambda *args, **named: self.ask(handler, *args, **named)

    def ask(self, handler, /, *args, **named):
        if args:
            named[{"write": "tuple", "write_many": "tuples", "transaction": "operations"}.get(
                handler, "id" if handler in ("renew", "cancel") else "pattern")] = args[0]  # fmt: skip
        return self.world.ask(self.address, handler, **named)

    def start(self, handler, pattern, wait=None):
        return self.world.start(self.address, handler, pattern=pattern, wait=wait)

    def gone(self, handler, pattern):
        """Somebody who waits, and after a millisecond, which is over, is no more there."""
        self.soon_gone(handler, pattern)
        self.world.run()
        self.world.run(1)

    def soon_gone(self, handler, pattern):
        """The same, and nothing has happened yet."""
        world = self.world
        world._number += 1
        id = with_deadline(f"m{world._number}", world.now + 1)
        payload = json.dumps({"pattern": pattern, "wait": None}).encode()
        world.mailbox.append(Envelope(ASK, id, full(self.address), handler, payload, reply_to="edge"))

    def of(self, id):
        """What a call has come to: the tuple."""
        reply = self.world.replies[id]
        return reply if isinstance(reply, str) else reply and reply["tuple"]

    def waits(self, id):
        return id not in self.world.replies

    def all(self, pattern):
        return [entry["tuple"] for entry in self.read_all(pattern)["entries"]]

    def why(self):
        """The text and data of the latest error."""
        error = list(self.world.errors.values())[-1]
        return error["detail"], error.get("data")

    def events(self):
        outs = (o for r in self.world.journal for o in getattr(r, "outs", ()))
        return [json.loads(o.payload) for o in outs if o.kind == OutKind.EMIT and o.target == "tuplespace"]


def content_of(events):
    """What is in the space by what was told of it: by id, tuple and end of the lease."""
    assert [event["number"] for event in events] == [*range(1, len(events) + 1)]
    content = {}
    for event in events:
        if event["op"] in ("out", "renew"):
            assert (event["entry"] in content) == (event["op"] == "renew")
            content[event["entry"]] = (event["tuple"], event["due"])
        else:
            assert content.pop(event["entry"])[0] == event["tuple"]
    return content


def is_same(one, other):
    if type(one) is not type(other):
        return False
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[k], other[k]) for k in one)
    return one == other


def is_like(field, value):
    if field is None or field == "*":
        return True
    if not isinstance(field, dict):
        return is_same(field, value)
    ((operator, given),) = field.items()
    match operator:
        case "is":
            return is_same(given, value)
        case "in":
            return any(is_same(one, value) for one in given)
        case "type":
            return type(value) in TYPES[given]
        case "prefix":
            return type(value) is str and value.startswith(given)
        case "range":
            text = any(type(end) is str for end in given)
            if type(value) not in ((str,) if text else (int, float)):
                return False
            low, high = given
            return (low is None or low <= value) and (high is None or value < high)
    raise AssertionError(field)


def matches(pattern, tuple):
    return len(pattern) == len(tuple) and all(map(is_like, pattern, tuple))


def is_exact(field):
    if not isinstance(field, dict):
        return field is not None and field != "*"
    return "is" in field or "in" in field


class Model:
    """Entries in the order in which they were written, and who waits in that of arrival."""

    def __init__(self):
        self.entries = {}  # id: (tuple, due)
        self.waiters = []  # (id of the call, whether it takes, pattern, due)
        self.answers = {}
        self.latest = 0
        self.now = 0
        self.indexed = [0, 1, 2]

    def found(self, pattern):
        """Those that match, in the order in which they are found."""
        found = [id for id, (tuple, _) in self.entries.items() if matches(pattern, tuple)]
        indexed = [p for p in self.indexed if p < len(pattern)]
        if any(is_exact(pattern[p]) for p in indexed):
            return found
        spans = [p for p in indexed if isinstance(pattern[p], dict) and {"range", "prefix"} & {*pattern[p]}]
        if spans:
            value = lambda id: self.entries[id][0][spans[0]]  # noqa: E731
            found.sort(key=lambda id: (value(id), type(value(id)).__name__, id))
        return found

    def answer(self, id):
        tuple, due = self.entries[id]
        return {"id": id, "tuple": tuple, "due": due}

    def look(self, take, pattern):
        found = self.found(pattern)
        if not found:
            return None
        answer = self.answer(found[0])
        if take:
            del self.entries[found[0]]
        return answer

    def wait(self, call, take, pattern, due):
        answer = self.look(take, pattern)
        if answer is None and due != self.now:
            self.waiters.append((call, take, pattern, due))
        else:
            self.answers[call] = answer

    def write(self, tuple, ttl):
        due = 0 if ttl is None else self.now + ttl * 1000
        self.latest += 1
        self.entries[self.latest] = (tuple, due)
        answer = self.answer(self.latest)
        self.offer(self.latest)
        return {"id": answer["id"], "due": due}

    def offer(self, id):
        answer = self.answer(id)
        wanting = [w for w in self.waiters if matches(w[2], answer["tuple"])]
        takes = [w for w in wanting if w[1]][:1]
        for waiter in [w for w in wanting if not w[1]] + takes:
            self.answers[waiter[0]] = answer
            self.waiters.remove(waiter)
        if takes:
            del self.entries[id]

    def at(self, now):
        self.now = now
        self.entries = {id: e for id, e in self.entries.items() if not e[1] or e[1] > now}
        for waiter in list(self.waiters):
            if waiter[3] is not None and waiter[3] <= now:
                self.answers[waiter[0]] = None
                self.waiters.remove(waiter)
