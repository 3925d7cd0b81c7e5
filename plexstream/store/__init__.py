"""State on disk: a cache of the log, one store a partition, disposable."""
