"""Worker processes: forked, supervised, ended."""
