"""Programs drawn from seeds, run in numbers, on nodes too, and cut down where they fail."""
