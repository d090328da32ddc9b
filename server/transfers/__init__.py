"""Import and export jobs with their progress, so that staff see what runs, how far it is and what went wrong.

Invariants: ``done`` and ``errors`` only grow while a job runs; a job that ended never runs again.
"""
