"""Messages: their shape, where they go, and by what they and their outcomes are found again."""
