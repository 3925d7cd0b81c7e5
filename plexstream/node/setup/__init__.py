"""Before anything starts: configuration, manifest, data folder, the topics that must be there."""
