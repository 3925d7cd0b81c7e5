"""What is held for a time, by one at a time: locks, elections, pools."""
