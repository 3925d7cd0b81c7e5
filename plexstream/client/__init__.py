"""A client for programs outside of a node."""
