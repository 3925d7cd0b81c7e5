"""The protocol in small, every interleaving of it: each rule holds something up, and without it that falls.

Three models of one partition with two owners, each of which may be alive, a zombie or dead: who owns the
journal and what leaves by the relay (`ownership`), what leaves by transactions (`outputs`), and what may be
forgotten once it stands in a snapshot (`snapshots`). A record that was sent may be appended long after its
sender's end. The simulation runs the code; these check the idea.

    python -m plexstream.testing.protocol
    python -m plexstream.testing.protocol snapshots --without proof
"""
