"""A schedule from its seed to its rest, and many of them."""
