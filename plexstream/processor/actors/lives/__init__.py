"""Beginnings and ends of actors: signals, links, and calls that are owed an answer."""
