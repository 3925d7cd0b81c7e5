"""Tuple spaces: one actor for each shard of a space."""
