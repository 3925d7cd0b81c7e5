"""One partition in service: its driver, what has arrived, what leaves, its upkeep."""
