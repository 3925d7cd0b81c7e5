"""Kinds of actors with names of their own: servers, event managers, services and workflows."""
