"""Calls over HTTP: what is sent and when again, the bytes of it, and sockets for loops and for threads."""
