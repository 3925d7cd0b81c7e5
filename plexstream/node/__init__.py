"""Workers, assignment, lifecycle and configuration."""
