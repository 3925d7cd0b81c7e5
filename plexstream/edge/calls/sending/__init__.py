"""What calls are appended by: a thread, the ways to the partitions, what gathers calls that are many."""
