"""What the HTTP front does, path by path."""
