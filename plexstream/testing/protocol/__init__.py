"""The protocol in small, every interleaving of it: each rule holds something up, and without it that falls.

Models of one partition with two owners, each of which may be alive, a zombie or dead: what an
acknowledgement proves to who writes a journal (`writing`), who owns it and what leaves by the relay
(`ownership`), what leaves by transactions (`outputs`), and what may be forgotten once it stands in a
snapshot (`snapshots`). One of a sender and a receiver: mails, clients' tells, ingest (`delivery`). One of
what outlives a topic (`lives`). A record that was sent may be appended long after its sender's end, a
broker may know nothing of a producer, and answers come late, without what they should tell, or never. The
simulation runs the code; these check the idea.

    python -m plexstream.testing.protocol
    python -m plexstream.testing.protocol snapshots --without proof
"""
