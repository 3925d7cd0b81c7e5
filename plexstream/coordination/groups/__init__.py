"""Who belongs together and who is where: process groups, registries."""
