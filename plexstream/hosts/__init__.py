"""Actor hosts run handlers. Each answers the same calls; the processor does not know which it has."""
