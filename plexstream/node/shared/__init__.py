"""What the partitions of a worker share: clocks, what is on its way, who asks beside the thread, stores."""
