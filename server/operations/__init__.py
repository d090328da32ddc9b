"""Running the product: incidents that need a person, the record of periodic runs, and the health of the queues.

Invariants: at most one open incident for each kind and subject; at most one run for each job and period.
"""
