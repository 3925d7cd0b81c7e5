"""The HTTP front: what it answers, whom, and what it bears."""
