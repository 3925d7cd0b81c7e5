"""What users' code gives and gets: values, arguments, what is said of those that are wrong."""
