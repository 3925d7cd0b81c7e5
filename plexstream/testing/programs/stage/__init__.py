"""Where a program is played: a partition in memory, and what drives it."""
