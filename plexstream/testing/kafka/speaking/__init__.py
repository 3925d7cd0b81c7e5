"""Kafka's own protocol, spoken directly: is a broker ready, and have its classes been loaded."""
