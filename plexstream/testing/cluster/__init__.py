"""A Kafka cluster on this machine, for tests that kill, pause and cut off its brokers."""

from plexstream.testing.cluster.local import Cut, LocalCluster

__all__ = ["Cut", "LocalCluster"]
