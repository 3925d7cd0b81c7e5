"""Kafka for tests: brokers as processes or containers, clusters, and a proxy that answers in their place."""
