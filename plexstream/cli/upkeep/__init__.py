"""Commands for whoever runs an installation: is all as it must be, and what to do where it is not."""
