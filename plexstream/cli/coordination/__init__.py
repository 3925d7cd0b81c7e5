"""Commands for coordination: each noun is a group, each of its operations a command."""
