"""Coordination, measured alike for plexstream and for Redis: the works, and how each of the two does them."""
