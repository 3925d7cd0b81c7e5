"""Commands that call actors, or ask a running node."""
