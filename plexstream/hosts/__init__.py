"""Actor hosts: what runs handlers. Each answers the same calls, and the processor does not know which it has."""
