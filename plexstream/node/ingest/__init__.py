"""From topics of others into mailboxes."""
