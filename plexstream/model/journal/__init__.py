"""What stands in journals and snapshots, and what of it tells of lives, attempts and timers."""
