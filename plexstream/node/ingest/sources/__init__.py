"""Partitions of subscribed topics: which life of them is read, and how far."""
