"""Explore the protocol in small, whole or without one of its rules."""

from __future__ import annotations

import argparse
import sys
import time

from plexstream.testing.protocol.explore import explore
from plexstream.testing.protocol.models import MODELS


def main() -> int:
    """Returns 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m plexstream.testing.protocol", description=__doc__)
    parser.add_argument("model", nargs="?", choices=sorted(MODELS), help="default: every one")
    parser.add_argument("--without", default="", metavar="RULE", help="leave a rule out and see")
    options = parser.parse_args()
    chosen = {name: MODELS[name] for name in MODELS if options.model in (None, name)}
    rules = sorted({rule for _, rules in chosen.values() for rule in rules})
    if options.without and options.without not in rules:
        parser.error(f"no rule {options.without!r}; there are: {', '.join(rules)}")
    failed = 0
    for name, (make, rules_of_it) in chosen.items():
        if options.without and options.without not in rules_of_it:
            continue
        began = time.monotonic()
        found = explore(make(options.without))
        print(f"{name}: {found.worlds} worlds, {time.monotonic() - began:.1f} s")
        if found.wrong:
            failed = 1
            print(f"WRONG: {found.wrong}, after")
            print("\n".join(f"  {step}" for step in found.steps))
    return failed


if __name__ == "__main__":
    sys.exit(main())
