"""Handlers that wait: their coroutine or greenlet, their effects, how they run again and how they end."""
