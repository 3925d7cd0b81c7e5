"""What every command does the same way: options, output, help, and the log that is looked at."""
