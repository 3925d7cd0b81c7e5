"""What keeps something: stores of keys and values, tuple spaces, blobs."""
