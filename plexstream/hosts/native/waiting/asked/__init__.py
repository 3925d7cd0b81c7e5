"""What a run of a handler asks for, and what ends it without its own doing."""
