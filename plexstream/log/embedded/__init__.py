"""The embedded log: a folder, one process, files of its own."""
