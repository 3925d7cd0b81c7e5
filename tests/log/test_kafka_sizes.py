"""How large records may be is asked again, beside whoever appends."""

import threading
import time

from plexstream.log.kafka.brokers.sizes import FRESH_S, MISFIT_S, Sizes
from plexstream.model.errors import LogUnavailable


class Broker:
    def __init__(self):
        self.limit = 100
        self.asked_by = []
        self.now = 0.0

    def ask(self, topic):
        self.asked_by.append(threading.current_thread())
        if self.limit < 0:
            raise LogUnavailable("away")
        return self.limit


def becomes(sizes, limit):
    end = time.monotonic() + 10
    while sizes.of("t") != limit:
        assert time.monotonic() < end
        time.sleep(0.005)


def test_they_are_asked_again_beside_the_one_who_asks():
    broker = Broker()
    sizes = Sizes(broker.ask, lambda: broker.now)
    assert sizes.of("t") == 100
    broker.limit = 50
    assert sizes.of("t") == 100
    broker.now += FRESH_S
    becomes(sizes, 50)
    assert broker.asked_by[0] is threading.current_thread()
    assert threading.current_thread() not in broker.asked_by[1:]


def test_after_a_refusal_soon():
    broker = Broker()
    sizes = Sizes(broker.ask, lambda: broker.now)
    sizes.of("t")
    broker.limit = 50
    sizes.doubt()
    broker.now += MISFIT_S
    becomes(sizes, 50)


def test_without_an_answer_it_is_as_it_was(caplog):
    broker = Broker()
    sizes = Sizes(broker.ask, lambda: broker.now)
    sizes.of("t")
    broker.limit, broker.now = -1, FRESH_S
    assert sizes.of("t") == 100
    end = time.monotonic() + 10
    while "as it was" not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.005)
    broker.limit, broker.now = 70, 2 * FRESH_S
    becomes(sizes, 70)
