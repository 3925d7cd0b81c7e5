"""Actors that are Python classes."""

from plexstream.hosts.native.host import NativeHost
from plexstream.hosts.native.load import load_actors

__all__ = ["NativeHost", "load_actors"]
