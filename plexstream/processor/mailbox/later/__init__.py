"""What comes to the door later than it arrived: from queues, from timers, after crashes."""
