"""What actor code imports, by way of `plexstream`, whose list of names is the only one.

Pure Python without dependencies: it runs natively and inside a WASM guest.
"""
