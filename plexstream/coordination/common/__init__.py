"""What the system actors share."""
