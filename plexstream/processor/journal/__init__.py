"""What a partition writes to its log, and what comes back."""
