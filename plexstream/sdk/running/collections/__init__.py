"""Collections that are journaled and loaded entry by entry."""
