"""People who work in the console: accounts, roles, permissions, passwords and second factors.

Invariants:
- What a person may do is exactly the union of the permissions of their roles; roles and their permissions are code, not data.
- The three duties stay apart: nobody holds two of *system administration*, *security* and *audit*.
- Second-factor secrets are sealed; a one-time code counts once.
- Every change of an account goes through ``service`` and leaves an audit entry with its reason.
"""
