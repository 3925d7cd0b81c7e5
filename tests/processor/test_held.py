"""Nothing begins by time alone while too much of what was done is still on its way."""

from scripted import Bench, Host, sends, tell, timer


def test_no_timer_fires_while_too_much_is_on_its_way():
    b = Bench(Host({"set": sends(timer("1.0", 10_500))}))
    b.give(tell(0, "set"))
    b.append()
    b.now = 10_600
    b.p.held = True
    assert b.p.next_wake() > b.now  # for a mark
    b.tick()
    assert not [r for r in b.append() if getattr(r, "cause_topic", "") == "timer"]
    b.p.held = False
    assert b.p.next_wake() == 10_500
    b.tick()
    assert [r.message_id for r in b.append() if getattr(r, "cause_topic", "") == "timer"] == ["1.0"]
