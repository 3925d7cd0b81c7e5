"""What calls system actors: nouns with operations, the same for handlers, clients, HTTP and the CLI."""
