"""One actor in memory: its fields, those that other code stored, its time."""
