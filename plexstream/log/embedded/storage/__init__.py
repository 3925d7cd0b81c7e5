"""What an embedded log has on disk, from opening it to checkpoints. No thread is started here."""
