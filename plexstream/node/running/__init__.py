"""A node as one command: its workers as processes or threads, its edge, what it says of itself."""
