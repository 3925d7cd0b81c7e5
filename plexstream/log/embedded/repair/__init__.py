"""Embedded logs that are damaged, or older than files of their own."""
