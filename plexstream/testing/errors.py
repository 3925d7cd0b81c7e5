"""What can go wrong on the way to a Kafka broker for tests."""


class KafkaUnavailableError(RuntimeError):
    """No broker could be had; the message says why and what to do about it."""
