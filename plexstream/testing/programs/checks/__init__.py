"""What is known of a program that has ended, and what it must come to."""
