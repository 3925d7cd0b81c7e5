"""The plexstream command."""
