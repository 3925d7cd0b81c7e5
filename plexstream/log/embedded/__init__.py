"""The embedded log: RocksDB in a folder, one process."""
