"""The log in memory, and what the logs of one process have in common."""
