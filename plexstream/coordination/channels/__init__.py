"""Queues, of whose messages each goes to one receiver, and channels, of which it goes to all subscribers."""
