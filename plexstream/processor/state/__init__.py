"""A partition's state, in layers."""
