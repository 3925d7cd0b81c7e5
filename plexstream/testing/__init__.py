"""Simulation, test driver, pytest plugin and Kafka fixtures."""
