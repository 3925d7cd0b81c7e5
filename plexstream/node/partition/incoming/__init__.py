"""What has arrived for a partition and is not handled yet."""
