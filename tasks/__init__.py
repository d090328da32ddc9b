"""Work that no request waits for: the relay, the tick, the workers, the supervisor and the command line.

Invariants: the database is the queue and Redis is only the doorbell, so a Redis that forgets everything costs time and
nothing else; an effect and the mark that it is done are one commit.
"""
