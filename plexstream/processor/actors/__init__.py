"""Actors in memory, their lives, and what they set going by themselves."""
