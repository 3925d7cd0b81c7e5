"""What a journal says happened, worked out anew without the code that wrote it."""
