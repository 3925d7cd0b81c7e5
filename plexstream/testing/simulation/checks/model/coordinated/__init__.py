"""System actors as they ought to be, turn by turn: what they may answer, to whom, in which order and when.

None of their code judges them. What linearizability cannot see is looked at here: who waits is served in the
order of arrival, nobody waits for what is there, no lease or wait ends before its time, tokens rise, nothing
is there twice.
"""
