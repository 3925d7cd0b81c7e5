"""A worker process without threads: the real parts, with stores and disks that fail."""
