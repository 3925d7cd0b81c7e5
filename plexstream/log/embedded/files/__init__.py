"""The files of the embedded log: their bytes, the write-ahead log, segments, the manifest."""
