"""Looking at an installation from outside: its past, its state and its health. What nodes never import."""
