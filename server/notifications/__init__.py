"""Notifications: what members are told, over which channel, and the allowances that pay for it.

Invariants:
- one message for each business key, however often it is asked for;
- at most one call to WeChat for a message that was not definitely refused: the row says ``sending`` before the call, and a call
  whose outcome is unknown ends ``uncertain``, which nobody but a person or WeChat's own receipt resolves;
- an allowance is reserved before the call and then spent or released once; neither what is left nor what is reserved is ever
  below zero, and both are the sum of the ledger's entries;
- every message stands in the member's inbox, whatever became of the push.
"""
