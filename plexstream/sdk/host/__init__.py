"""``host``: what a running handler can ask of the system, and what it can wait for."""
