"""Rebuilding from the log and running code again over it, compared with what is recorded."""
