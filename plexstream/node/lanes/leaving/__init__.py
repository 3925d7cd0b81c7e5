"""Turns on their way out: what they send, and what they weigh."""
