"""What a journal comes to: who owns it, how far its inboxes are, what is owed."""
