"""What a journal says of a handler that runs again, laid out to be compared."""
