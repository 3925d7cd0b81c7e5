"""Records by hand, one room a kind: a general codec takes most of a turn's CPU."""
