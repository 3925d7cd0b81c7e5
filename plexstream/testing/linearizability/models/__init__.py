"""What each kind of object answers, one call after the other."""
