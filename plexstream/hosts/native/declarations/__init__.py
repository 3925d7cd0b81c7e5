"""Actor types and their handlers as they are declared, made ready to run; slips that are told at once."""
