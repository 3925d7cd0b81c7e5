"""What stands beside a partition's state: how far it is, of which history, by which code."""
