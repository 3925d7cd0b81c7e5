"""``python -m plexstream``: the command line."""

from plexstream.cli import main

if __name__ == "__main__":
    main()
