"""From an assignment to a processor that can start, and what proves that nothing is missing."""
