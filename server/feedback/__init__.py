"""Feedback: what members tell us, from every channel, and how the service desk answers.

Invariants: a ticket's state moves only along ``rules.TRANSITIONS`` and every move is a row; whoever changes a ticket from an old version
is refused; each round (opening or reopening) has one first-response and one resolution deadline and at most one rating; members
see public messages of their own tickets only.
"""
