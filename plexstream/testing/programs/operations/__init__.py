"""What scripts are made of: operations that change, send and wait."""
