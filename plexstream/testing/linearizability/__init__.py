"""Whether what calls answered can be explained: each takes effect at one moment, between call and return.

That is linearizability (M. P. Herlihy, J. M. Wing: Linearizability, a correctness condition for concurrent
objects, 1990). It is a property of each object by itself, so a history is split by object and each part is
checked alone: the search takes exponential time at worst.

It sees an answer that no order of the calls explains: a tuple that two have taken, a lock that two hold. It
does not see waiters that are served out of turn, nor what has to do with time: for that, a model is replayed
along the journal (`plexstream.testing.simulation`).
"""
