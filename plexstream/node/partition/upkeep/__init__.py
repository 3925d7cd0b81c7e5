"""What keeps a partition's store, snapshots and journal in shape."""
