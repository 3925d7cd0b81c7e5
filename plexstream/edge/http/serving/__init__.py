"""Connections and the server: bounds on what a client may send and take, and for how long."""
