"""What both halves of a tuple space know: how values are told apart, and named predicates."""
