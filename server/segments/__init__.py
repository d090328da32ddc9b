"""Segments: named groups of members, chosen by a rule over what is known of them.

Invariants:
- a change of a rule is a new version with its reason, never an edit;
- a rule says all it chooses by: conditions in groups, all or any of them, each of them or the whole group the other way round;
- it is compiled to one statement, the same for the preview and for the build, on every engine;
- who is in a segment is what its last build said (``server.rosters``), until the next one; a preview tells the present.
"""
