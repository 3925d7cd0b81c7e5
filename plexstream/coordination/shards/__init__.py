"""Shards: groups of data-parallel actors, and what is asked of all shards of a noun."""
