"""From what leaves a partition to records of the log."""
