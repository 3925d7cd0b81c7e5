"""What leaves a partition: to its journal, to others, and out of the system."""
