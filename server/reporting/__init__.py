"""Figures that span domains. Reads the tables of all of them, writes none of theirs: its own hold sums that jobs make.

Invariants:
- Every figure is what its definition says (see ``queries``), over the shop's own calendar days.
- A figure comes from an index range or a grouped scan of a bounded number of days, never from a whole table.
"""
