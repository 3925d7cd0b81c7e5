"""The plain case of a turn, compiled."""
