"""What is kept: keys and values, blobs."""
