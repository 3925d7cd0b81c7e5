"""Actors that are Python classes."""

from plexstream.hosts.native.host import NativeHost

__all__ = ["NativeHost"]
