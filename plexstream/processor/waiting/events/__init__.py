"""What comes for them: answers, commands, circles, and being run again."""
