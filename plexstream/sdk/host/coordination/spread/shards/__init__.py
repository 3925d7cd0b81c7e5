"""Shard groups: where a key belongs, what is asked of the members, and what is made of their answers."""
