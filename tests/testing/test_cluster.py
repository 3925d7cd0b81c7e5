"""What befalls the brokers of a cluster does befall them, and is undone."""

import os
import signal
import socket
import struct
import subprocess
import sys
import time

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka.cluster import Cut, LocalCluster
from plexstream.testing.kafka.speaking.requests import METADATA, ask, cluster_state

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster() as cluster:
        admin = AdminClient({"bootstrap.servers": cluster.address, "log_level": 0})
        admin.create_topics([NewTopic("t", 3)])["t"].result(20)
        yield cluster


@pytest.fixture(autouse=True)
def restored(cluster):
    cluster.restore()


def until(what, look, seconds=40):
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, what
        time.sleep(0.05)


def send(cluster, partition, seconds=40):
    """Append a record; whether it was acknowledged in time."""
    settings = {
        "bootstrap.servers": cluster.address, "acks": "all", "message.timeout.ms": seconds * 1000,
        "topic.metadata.refresh.interval.ms": 1000, "log_level": 0,
    }  # fmt: skip
    producer = Producer(settings)
    outcome = []
    note = lambda error, _: outcome.append(error is None)  # noqa: E731
    producer.produce("t", b"x", partition=partition, on_delivery=note)
    producer.flush(seconds + 5)
    return outcome == [True]


def test_topics_have_three_replicas(cluster):
    for partition in range(3):
        assert sorted(cluster.partition("t", partition).replicas) == cluster.brokers == [1, 2, 3]


def test_a_leader_is_moved(cluster):
    before = cluster.leader("t", 0)
    assert cluster.move_leader("t", 0) == cluster.leader("t", 0) != before
    assert cluster.move_leader("t", 0, before) == cluster.leader("t", 0) == before
    assert send(cluster, 0)


def test_a_broker_that_is_killed_is_replaced_and_catches_up(cluster):
    victim = cluster.leader("t", 0)
    cluster.kill(victim)
    assert not cluster.running(victim)
    until("another leader", lambda: cluster.leader("t", 0) not in (-1, victim))
    assert send(cluster, 0)
    with pytest.raises(KafkaUnavailableError, match=r"broker . knows of|does not answer"):
        cluster.wait_in_sync(timeout=0.1)
    cluster.restore()
    assert set(cluster.partition("t", 0).in_sync) == {1, 2, 3}


def test_one_broker_of_three_takes_nothing(cluster):
    others = [number for number in cluster.brokers if number != cluster.leader("t", 0)]
    for number in others:
        cluster.kill(number)
    assert not send(cluster, 0, seconds=3)
    cluster.restore()
    assert send(cluster, 0)


def test_a_paused_broker_loses_what_it_led(cluster):
    victim = cluster.leader("t", 0)
    cluster.pause(victim)
    assert cluster.running(victim)
    until("another leader", lambda: cluster.leader("t", 0) not in (-1, victim))
    cluster.resume(victim)
    cluster.wait_in_sync()


def test_cut_off_from_clients(cluster):
    victim = cluster.leader("t", 0)
    port = int(cluster.address.split(",")[victim - 1].rpartition(":")[2])
    question = struct.pack(">ihhihi?", 15, METADATA, 4, 7, 0, 0, False)
    with socket.create_connection(("127.0.0.1", port)) as open_connection:
        cluster.cut(victim, Cut.CLIENTS)
        with pytest.raises(OSError, match="timed out"):
            ask(("127.0.0.1", port), METADATA, 4, struct.pack(">i?", 0, False))
        open_connection.sendall(question)
        open_connection.settimeout(0.5)
        with pytest.raises(OSError, match="timed out"):
            open_connection.recv(4)
        cluster.wait_in_sync()  # its peers notice nothing
        cluster.mend()
        open_connection.settimeout(20)
        assert len(open_connection.recv(4)) == 4


def test_cut_off_from_peers(cluster):
    victim = cluster.leader("t", 0)
    port = int(cluster.address.split(",")[victim - 1].rpartition(":")[2])
    cluster.cut(victim, Cut.PEERS)
    until("another leader", lambda: cluster.leader("t", 0) not in (-1, victim))
    # It answers clients all the same, and takes itself for the leader.
    assert cluster_state(("127.0.0.1", port)).topics["t"][0].leader == victim
    cluster.mend()
    cluster.wait_in_sync()


def test_all_ends_with_the_starter():
    program = """
import time
from plexstream.testing.kafka.cluster import LocalCluster
cluster = LocalCluster().start()
print(cluster.folder, cluster._ways._wires._process.pid, *map(cluster.pid, cluster.brokers), flush=True)
time.sleep(60)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with starter:
        folder, *pids = starter.stdout.readline().split()
        assert len(pids) == 4
        starter.send_signal(signal.SIGKILL)
    until("the folder is deleted", lambda: not os.path.exists(folder))

    def ended(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    until("every process has ended", lambda: all(map(ended, pids)))
