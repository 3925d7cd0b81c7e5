"""What an actor does later: ticks in memory, series, and the end of its time to live."""
