"""E-mail: one Protocol, SMTP behind it, and a stand-in for this machine.

Invariants: an adapter makes one delivery for one mail and says truthfully how it ended; nothing a caller gives can add a header or
a recipient; nothing that it logs or raises holds an address, a text or a password.
"""
