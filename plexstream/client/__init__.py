"""A client for programs outside of a node: `Client`, and `AsyncClient` for asyncio."""

from plexstream.client.asynchronous import AsyncClient
from plexstream.client.sync import Client

__all__ = ["AsyncClient", "Client"]
