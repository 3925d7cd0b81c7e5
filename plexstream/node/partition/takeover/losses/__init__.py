"""What a partition has lost, and what proves it: nothing goes on without a word of somebody."""
