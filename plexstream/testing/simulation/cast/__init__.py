"""Who acts in the simulation: actors, their scripts and supervisors, and callers from outside."""
