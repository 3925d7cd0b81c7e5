"""Asks and tells straight over the log, without HTTP: clients and the HTTP front share them."""
