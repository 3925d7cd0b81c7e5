"""Plain data that every part agrees on: addresses, messages, journal records, errors. No I/O."""
