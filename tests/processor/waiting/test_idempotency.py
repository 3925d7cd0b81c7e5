"""Idempotency keys: whose they are, what is kept for them, and who waits for the same call."""

import json

import pytest
from world import World

from plexstream import Reject, Retry, actor, handler, host, run_handler, service, state, workflow
from plexstream.model.messages import idempotency
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK

FAILS = [0]


@actor(retry=Retry(attempts=3, interval=1, jitter=0))
class Till:
    n: int = state(default=0)

    @handler("add")
    def add(self, x: int = 1, **more):
        if FAILS[0]:
            FAILS[0] -= 1
            raise RuntimeError("not yet")
        self.n += x
        return self.n

    @handler("take")
    def take(self, x: int = 1, **more):
        self.n -= x
        return self.n

    @handler("refuse")
    def refuse(self, x: int = 0):
        raise Reject("no", {"n": self.n})

    @handler("wait")
    async def wait(self, x: int = 1, fails: bool = False):
        await host.promise(f"p{x}")
        if fails:
            raise RuntimeError("on purpose")
        self.n += x
        return self.n

    @handler("look", read_only=True)
    def look(self, x: int = 0):
        return self.n


RAN = []


@service
class Desk:
    @handler("serve")
    async def serve(self, x: int = 1, fails: bool = False):
        RAN.append(x)
        await host.sleep(5)
        if fails:
            raise RuntimeError("on purpose")
        return x


@workflow
class Flow:
    n: int = state(default=0)

    @run_handler
    async def run(self, i: int = 0):
        self.n += 1
        await host.promise(f"go{i}")
        if i < 2:
            host.continue_as_new(i=i + 1)
        return f"done {self.n}"


def new():
    RAN.clear()
    FAILS[0] = 0
    return World(Till, Desk, Flow, reply_ttl=60_000)


@pytest.fixture
def world():
    return new()


CRASH = pytest.mark.parametrize("crash", [False, True])
KINDS = pytest.mark.parametrize("kind", ["ask", "tell"])


def send(world, to, handler, key="k", kind="ask", run=True, **arguments):
    id = world.tell(to, handler, _kind=ASK if kind == "ask" else 0, _key=key, **arguments)
    if run:
        world.run()
    return id


def crash_if(world, crash):
    if crash:
        world.restart()
        world.run()


def outcome(world, to, handler, key="k", wait=0, **arguments):
    """What the invocation of such a call has come to."""
    payload = json.dumps(arguments).encode()
    mark = idempotency.mark(key, payload) if key.isidentifier() else key
    name, digest = idempotency.name(handler, mark), idempotency.digest_of(mark)
    id = world.tell(to, "$result", _kind=ASK, name=name, digest=digest, wait=wait)
    world.run()
    return id if wait else world.replies[id]


def free(world, name="p1", to="till/1"):
    world.ask(to, "$promise", name=name, value=1)
    world.run()


# Whose they are


def test_a_key_is_that_of_one_handler_of_one_actor(world):
    assert world.replies[send(world, "till/1", "add", x=5)] == 5
    assert world.replies[send(world, "till/1", "take", x=2)] == 3
    assert world.replies[send(world, "till/2", "add", x=1)] == 1
    assert world.replies[send(world, "till/1", "add", x=5)] == 5
    assert world.field("till/1", "n") == 3


@CRASH
@KINDS
def test_other_arguments_are_a_conflict_and_do_nothing(world, crash, kind):
    send(world, "till/1", "add", x=5, kind=kind)
    crash_if(world, crash)
    other = send(world, "till/1", "add", x=6)
    assert world.replies[other] == "idempotency_conflict"
    assert "till/1.add" in world.errors[other]["detail"]
    told = send(world, "till/1", "add", x=7, kind="tell")
    assert world.put_aside() == [("add", "idempotency_conflict")]
    assert told not in world.replies
    crash_if(world, crash)
    assert world.replies[send(world, "till/1", "add", x=5)] == 5  # what was first stays
    assert world.field("till/1", "n") == 5


@pytest.mark.parametrize("same", [
    b'{"x":5,"a":{"b":1,"c":[1,2]}}', b'{ "a" : {"c": [1, 2], "b": 1}, "x": 5 }',
    b'{"x":5,"\\u0061":{"c":[1,2],"b":1}}',
])  # fmt: skip
def test_the_same_arguments_are_the_same_json(same):
    assert idempotency.digest(same) == idempotency.digest(b'{"a":{"b":1,"c":[1,2]},"x":5}')
    assert idempotency.digest(same) != idempotency.digest(b'{"a":{"b":1,"c":[2,1]},"x":5}')


@pytest.mark.parametrize("odd", [b"", b"{", b"\xff", b"[" * 100_000, b'{"x":NaN}', b'{"x":1e999}'])
def test_what_is_no_json_stands_for_itself(odd):
    assert idempotency.digest(odd) == idempotency.digest(bytes(odd)) != idempotency.digest(odd + b" ")


# A tell's outcome


@CRASH
def test_an_ask_with_the_key_of_a_tell_gets_its_result(world, crash):
    send(world, "till/1", "add", x=5, kind="tell")
    crash_if(world, crash)
    assert world.replies[send(world, "till/1", "add", x=5)] == 5
    send(world, "till/1", "add", x=5, kind="tell")
    assert world.field("till/1", "n") == 5


@CRASH
def test_a_tell_that_is_tried_again_has_the_result_of_its_last_attempt(world, crash):
    FAILS[0] = 2
    send(world, "till/1", "add", x=5, kind="tell")
    crash_if(world, crash)
    assert outcome(world, "till/1", "add", x=5)["status"] == "retrying"
    asked = send(world, "till/1", "add", x=5)
    assert asked not in world.replies
    for _ in range(3):
        world.run(1_000)
    assert world.replies[asked] == 5
    assert outcome(world, "till/1", "add", x=5) == {"status": "done", "result": 5}


@CRASH
@pytest.mark.parametrize("what", ["fails", "refuses", "unknown", "bad"])
def test_the_outcome_of_a_tell_that_failed_is_its_error(world, crash, what):
    to, handler, arguments, code = {
        "fails": ("till/1", "add", {"x": 5}, "failed"), "refuses": ("till/1", "refuse", {}, "rejected"),
        "unknown": ("till/1", "nothing", {}, "unknown_handler"),
        "bad": ("till/1", "add", {"x": "text"}, "bad_arguments"),
    }[what]  # fmt: skip
    FAILS[0] = 3 if what == "fails" else 0
    send(world, to, handler, kind="tell", **arguments)
    for _ in range(3):
        world.run(1_000)
    crash_if(world, crash)
    asked = send(world, to, handler, **arguments)
    assert world.replies[asked] == code
    found = outcome(world, to, handler, **arguments)
    assert (found["status"], found["error"]) == ("failed", world.errors[asked])
    if what == "refuses":
        assert found["error"]["data"] == {"n": 0}
    assert [key for _, key in world.put_aside()] == [code]


def test_a_failed_ask_may_be_tried_again(world):
    FAILS[0] = 1
    assert world.replies[send(world, "till/1", "add")] == "failed"
    assert world.replies[send(world, "till/1", "add")] == 1


def test_a_tell_of_a_reading_handler_has_a_result(world):
    send(world, "till/1", "add", key="other", x=3)
    send(world, "till/1", "look", kind="tell")
    assert outcome(world, "till/1", "look") == {"status": "done", "result": 3}


@CRASH
@pytest.mark.parametrize(("key", "ttl"), [("k", 60_000), (idempotency.own_mark("edge-7"), 30_000)])
def test_outcomes_expire_those_without_a_key_earlier(world, crash, key, ttl):
    send(world, "till/1", "add", key=key, kind="tell")
    world.run(ttl - 1)
    crash_if(world, crash)
    assert outcome(world, "till/1", "add", key=key) == {"status": "done", "result": 1}
    world.run(1)
    assert outcome(world, "till/1", "add", key=key) == "unknown_invocation"


# The same call while it is under way


@CRASH
@KINDS
def test_the_same_call_gets_its_outcome_before_what_is_queued(world, crash, kind):
    first = send(world, "till/1", "wait", kind=kind)
    queued = send(world, "till/1", "wait", key="", x=2)
    same = send(world, "till/1", "wait")
    again = send(world, "till/1", "wait", kind="tell")
    crash_if(world, crash)
    free(world)
    assert world.replies[same] == 1
    assert world.replies.get(first) == (1 if kind == "ask" else None)
    assert again not in world.replies
    assert queued not in world.replies
    free(world, "p2")
    assert world.replies[queued] == 3
    assert world.waiting() == []


@CRASH
def test_the_same_call_is_before_what_is_parked_too(world, crash):
    send(world, "till/1", "wait")
    queued = send(world, "till/1", "wait", key="", x=2)
    world.run(1_100)
    world.run(6_000)
    same = send(world, "till/1", "wait")
    crash_if(world, crash)
    free(world)
    assert world.replies[same] == 1
    assert queued not in world.replies
    free(world, "p2")
    assert world.replies[queued] == 3


@CRASH
def test_a_conflict_is_told_at_once_while_the_first_is_under_way(world, crash):
    send(world, "till/1", "wait", x=1)
    crash_if(world, crash)
    assert world.replies[send(world, "till/1", "wait", x=2)] == "idempotency_conflict"
    free(world)
    assert world.field("till/1", "n") == 1


@CRASH
def test_a_conflict_among_messages_that_wait_for_their_actor(world, crash):
    send(world, "till/1", "wait", key="")
    first = send(world, "till/1", "add", x=5)
    other = send(world, "till/1", "add", x=6)
    world.run(1_100)
    world.run(6_000)  # parked
    crash_if(world, crash)
    free(world)
    assert world.replies[first] == 6
    assert world.replies[other] == "idempotency_conflict"
    assert world.field("till/1", "n") == 6
    assert world.waiting() == []


@pytest.mark.parametrize("end", ["cancel", "end"])
@KINDS
def test_who_waits_for_the_same_call_hears_of_its_end_from_outside(world, end, kind):
    first = send(world, "till/1", "wait", kind=kind)
    same = send(world, "till/1", "wait")
    next = send(world, "till/1", "add", key="other")
    world.tell("till/1", f"${end}", invocation=1)
    world.run()
    code = "cancelled" if end == "cancel" else "killed"
    assert world.replies[same] == code
    assert world.replies.get(first) == (code if kind == "ask" else None)
    assert world.replies[next] == 1
    found = outcome(world, "till/1", "wait")
    if kind == "tell":
        assert (found["status"], found["error"]["code"]) == (code, code)
    else:
        assert found == "unknown_invocation"  # an ask may be tried again
    assert world.waiting() == []


def test_a_tell_that_waits_for_an_ask_which_fails_is_handled_itself(world):
    first = send(world, "till/1", "wait", fails=True)
    same = send(world, "till/1", "wait", fails=True)
    told = send(world, "till/1", "wait", kind="tell", fails=True)
    free(world)
    assert world.replies[first] == world.replies[same] == "failed"
    for _ in range(3):
        world.run(1_000)
    assert world.put_aside() == [("wait", "failed")]
    assert told not in world.replies
    assert outcome(world, "till/1", "wait", fails=True)["status"] == "failed"
    assert world.waiting() == []


def test_one_that_is_paused_goes_on_by_itself(world):
    send(world, "till/1", "wait")
    same = send(world, "till/1", "wait")
    world.ask("till/1", "$pause", invocation=2)
    free(world)
    assert same not in world.replies
    next = send(world, "till/1", "add", key="other")
    world.ask("till/1", "$resume", invocation=2)
    world.run()
    assert world.replies[same] == 1
    assert world.replies[next] == 2
    assert world.waiting() == []


def test_one_that_waits_is_cancelled_alone(world):
    first = send(world, "till/1", "wait")
    same = send(world, "till/1", "wait")
    world.ask("till/1", "$cancel", invocation=2)
    world.run()
    assert world.replies[same] == "cancelled"
    free(world)
    assert world.replies[first] == 1


def test_a_life_that_ends_ends_both(world):
    first = send(world, "till/1", "wait")
    same = send(world, "till/1", "wait")
    world.tell("till/1", "$kill")
    world.run()
    assert world.replies[first] == world.replies[same] == "killed"
    assert world.waiting() == []


@CRASH
@pytest.mark.parametrize("fails", [False, True])
def test_a_service_runs_the_same_calls_once_and_others_beside(world, crash, fails):
    ids = [send(world, "desk/1", "serve", fails=fails) for _ in range(3)]
    other = send(world, "desk/1", "serve", key="other", fails=fails)
    assert world.replies[send(world, "desk/1", "serve", x=2)] == "idempotency_conflict"
    crash_if(world, crash)
    world.run(5_000)
    assert [world.replies[id] for id in (*ids, other)] == ["failed" if fails else 1] * 4
    assert RAN.count(1) == (4 if crash else 2)  # after a crash each of the two runs again
    assert world.waiting() == []


@CRASH
def test_a_run_that_goes_on_as_new_keeps_its_key_and_who_waits_for_it(world, crash):
    first = send(world, "flow/1", "run", kind="tell")
    same = send(world, "flow/1", "run")
    for i in range(3):
        assert outcome(world, "flow/1", "run")["status"] == "waiting"
        crash_if(world, crash)
        free(world, f"go{i}", "flow/1")
        if i < 2:
            assert world.replies[send(world, "flow/1", "run", i=i + 1)] == "idempotency_conflict"
    assert world.replies[same] == "done 3"
    assert first not in world.replies
    assert outcome(world, "flow/1", "run") == {"status": "done", "result": "done 3"}
    assert world.replies[send(world, "flow/1", "run")] == "done 3"


@pytest.mark.parametrize("every", [1, 2, 3])
def test_crashes_all_the_time(every):
    RAN.clear()
    FAILS[0] = 0
    world = World(Till, Desk, Flow, crash_every=every, reply_ttl=60_000)
    first = send(world, "till/1", "wait", kind="tell")
    same = [send(world, "till/1", "wait", kind=kind) for kind in ("ask", "tell", "ask")]
    other = send(world, "till/1", "wait", x=2)
    next = send(world, "till/1", "add", key="other")
    free(world)
    world.run(2_000)
    assert [world.replies[id] for id in (same[0], same[2])] == [1, 1]
    assert world.replies[other] == "idempotency_conflict"
    assert world.replies[next] == 2
    assert first not in world.replies
    assert world.waiting() == []


# What has become of an invocation


def test_how_an_invocation_stands(world):
    assert outcome(world, "till/1", "wait") == "unknown_invocation"
    send(world, "till/1", "wait", kind="tell")
    assert outcome(world, "till/1", "wait") == {"status": "waiting", "handler": "wait", "number": 1}
    send(world, "till/1", "add", key="b", kind="tell")
    assert outcome(world, "till/1", "add", key="b") == {"status": "queued", "handler": "add"}
    world.run(1_100)
    world.run(6_000)
    assert outcome(world, "till/1", "add", key="b") == {"status": "queued", "handler": "add", "number": 2}
    world.ask("till/1", "$pause", invocation=1)
    assert outcome(world, "till/1", "wait")["status"] == "paused"
    world.ask("till/1", "$resume", invocation=1)
    free(world)
    assert outcome(world, "till/1", "wait") == {"status": "done", "result": 1}
    assert outcome(world, "till/1", "add", key="b") == {"status": "done", "result": 2}


def by_id(handler, key="k", **arguments):
    mark = idempotency.mark(key, json.dumps(arguments).encode())
    return {"name": idempotency.name(handler, mark), "digest": idempotency.digest_of(mark)}


@CRASH
@pytest.mark.parametrize(("what", "code"), [("$cancel", "cancelled"), ("$end", "killed")])
def test_what_is_queued_is_ended_by_its_id(world, crash, what, code):
    first = send(world, "till/1", "wait")
    send(world, "till/1", "add", key="b", kind="tell")
    last = send(world, "till/1", "add", key="c", x=10)
    assert world.ask("till/1", what, **by_id("add", "b", x=2)) == "unknown_invocation"
    assert world.ask("till/1", what, **by_id("add", "b")) == {"address": full("till/1"), "invocation": 0}
    crash_if(world, crash)
    assert outcome(world, "till/1", "add", key="b")["status"] == code
    free(world)
    assert (world.replies[first], world.replies[last]) == (1, 11)


def test_what_is_tried_again_is_ended_by_its_id_and_others_go_on(world):
    FAILS[0] = 1
    send(world, "till/1", "add", kind="tell")
    last = send(world, "till/1", "add", key="c", x=10)
    assert last not in world.replies
    assert world.ask("till/1", "$cancel", **by_id("add"))["address"] == full("till/1")
    world.run(1)
    assert world.replies[last] == 10
    assert outcome(world, "till/1", "add")["status"] == "cancelled"


def test_how_one_that_is_tried_again_stands(world):
    FAILS[0] = 9
    send(world, "till/1", "add", kind="tell")
    found = outcome(world, "till/1", "add")
    assert found["status"] == "retrying"
    said = found["attempts"]
    assert (said["failed"], said["of"], said["next"]) == (1, 3, world.now + 1_000)
    assert said["error"] == {"code": "failed", "detail": "till.add raised RuntimeError: not yet"}


def test_a_tell_in_conflict_has_an_outcome_of_its_own(world):
    send(world, "till/1", "wait", kind="tell")
    send(world, "till/1", "wait", kind="tell", x=2)
    free(world)
    assert outcome(world, "till/1", "wait") == {"status": "done", "result": 1}
    found = outcome(world, "till/1", "wait", x=2)
    assert (found["status"], found["error"]["code"]) == ("failed", "idempotency_conflict")


def test_who_waits_for_an_outcome_is_told_when_it_is_on_the_log(world):
    assert world.replies[outcome(world, "till/1", "wait", wait=5_000)] == "unknown_invocation"
    send(world, "till/1", "wait", kind="tell")
    ids = [outcome(world, "till/1", "wait", wait=5_000) for _ in range(3)]
    other = outcome(world, "till/1", "add", wait=5_000)
    assert not any(id in world.replies for id in ids)
    assert world.p.outcomes.awaited == 3
    free(world)
    assert [world.replies[id] for id in ids] == [{"status": "done", "result": 1}] * 3
    assert world.replies[other] == "unknown_invocation"
    assert world.p.outcomes.awaited == 0
    assert world.replies[outcome(world, "till/1", "wait", wait=5_000)] == {"status": "done", "result": 1}


def test_who_waits_is_forgotten_once_his_time_is_over_and_too_many_are_told_at_once(world, monkeypatch):
    monkeypatch.setattr("plexstream.processor.mailbox.calls.outcomes.MAX_AWAITED", 2)
    send(world, "till/1", "wait", kind="tell")
    ids = [outcome(world, "till/1", "wait", wait=1_000) for _ in range(3)]
    assert [world.replies.get(id, {}).get("status") for id in ids] == [None, None, "waiting"]
    world.run(1_001)
    late = outcome(world, "till/1", "wait", wait=1_000)
    assert late not in world.replies
    assert world.p.outcomes.awaited == 1


def test_nothing_of_a_question_is_in_the_journal(world):
    send(world, "till/1", "add")
    before = [r for r in world.journal if hasattr(r, "actor")]
    for to in ("till/1", "till/2", "nobody/1"):
        outcome(world, to, "add")
        outcome(world, to, "nothing")
    assert [r for r in world.journal if hasattr(r, "actor")] == before
    assert full("till/2") not in world.p.actors.active


@pytest.mark.parametrize("payload", [
    b"", b"{", b"[]", b"null", b'{"name":1}', b'{"name":"a","wait":"long"}', b'{"name":"a","digest":null}',
    b'{"name":"' + b"a" * 100_000 + b'"}', b"[" * 100_000,
])  # fmt: skip
def test_a_malformed_question_stops_nothing(world, payload):
    id = world.tell("till/1", "$result", _kind=ASK)
    world.mailbox[-1] = world.mailbox[-1]._replace(payload=payload)
    told = world.tell("till/1", "$result")
    world.mailbox[-1] = world.mailbox[-1]._replace(payload=payload)
    world.run()
    assert world.replies[id] in ("bad_arguments", "unknown_invocation")
    assert told not in world.replies
    assert world.replies[send(world, "till/1", "add")] == 1


def test_an_outcome_is_told_while_its_actor_cannot_be_loaded(world):
    send(world, "till/1", "add")
    world.host = type(world.host)({})
    world.restart()
    assert outcome(world, "till/1", "add") == {"status": "done", "result": 1}


# Ids


def test_an_id_says_where_an_invocation_is_and_nothing_of_its_key():
    mark = idempotency.mark("the secret key", b'{"x":5}')
    id = idempotency.make_id(full("till/1"), "add", mark)
    assert "secret" not in id
    found = idempotency.read_id(id)
    assert found == (full("till/1"), idempotency.name("add", mark), idempotency.digest_of(mark))
    own = idempotency.own_mark("edge-7")
    assert idempotency.read_id(idempotency.make_id(full("till/1"), "add", own)).digest == ""


def test_keys_of_any_size_and_text_have_names_of_one_length():
    keys = ["k", "x" * 100_000, "ü\u202e", "a\0b", "\ud800"]
    assert {len(idempotency.name("add", idempotency.mark(key, b"{}"))) for key in keys} == {22}


@pytest.mark.parametrize("id", [
    "", "inv_", "inv_.x.y", "inv_eA.AAAAAAAAAAAAAAAAAAAAAA.", "awk_eA.0123456789abcdef", "inv_" + "A" * 5_000,
    "inv_\u202e.AAAAAAAAAAAAAAAAAAAAAA.", "inv_/w.AAAAAAAAAAAAAAAAAAAAAA.", "inv__w.AAAAAAAAAAAAAAAAAAAAAA.",
    "inv_dGlsbC8x.AAAAAAAAAAAAAAAAAAAAAA.",  # an address in its short form
])  # fmt: skip
def test_what_is_no_id(id):
    from plexstream.model.errors import UnknownInvocation

    with pytest.raises(UnknownInvocation):
        idempotency.read_id(id)
