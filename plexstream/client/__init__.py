"""A client for programs outside of a node: `Client`, and `AsyncClient` for asyncio."""

from plexstream.client.asynchronous import AsyncClient
from plexstream.client.invocation import AsyncInvocation, Invocation
from plexstream.client.sync import Client

__all__ = ["AsyncClient", "AsyncInvocation", "Client", "Invocation"]
