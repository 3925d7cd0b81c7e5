"""plexstream as a peer."""
