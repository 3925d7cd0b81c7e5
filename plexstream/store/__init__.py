"""Actor state in RocksDB, derived from the journal."""
