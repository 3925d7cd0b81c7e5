"""What must hold at the end of every schedule, and what must be over."""
