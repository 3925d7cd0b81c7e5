"""The thread that drives many partitions, what feeds it and watches it, which partitions are its own."""
