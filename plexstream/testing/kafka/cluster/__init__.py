"""A Kafka cluster on this machine, for tests that kill, pause and cut off its brokers."""

from plexstream.testing.kafka.cluster.local import LocalCluster
from plexstream.testing.kafka.cluster.ways import Cut

__all__ = ["Cut", "LocalCluster"]
