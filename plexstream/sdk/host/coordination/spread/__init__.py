"""What many take part in: groups, the registry, queues and channels, shard groups."""
