"""The children of a supervisor, what it remembers, and what it can do with them."""
