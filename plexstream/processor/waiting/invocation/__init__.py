"""One handler that waits: its lifecycle as a table, what is known of it, its records."""
