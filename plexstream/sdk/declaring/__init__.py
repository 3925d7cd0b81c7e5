"""Decorators and declared fields: they only describe, and refuse early what is wrong."""
