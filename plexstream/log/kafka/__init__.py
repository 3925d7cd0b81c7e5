"""The log on Kafka."""

from plexstream.log.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
