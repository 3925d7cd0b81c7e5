"""What somebody has for a while: locks, leaderships, members of pools."""
