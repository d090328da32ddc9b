"""The three duties of administration stay three people's."""

from __future__ import annotations

from itertools import combinations

from server.staff.permissions import ROLES, Permission, duties_of, permissions_of


def test_nobody_holds_two_of_the_three_duties_alone_or_in_any_roles_an_account_may_have():
    """System administration, security and audit: whoever may do the one may not cover it up by another."""
    acts = {
        # Settings are tiers and deadlines, which operations staff plan; they open no part of the system itself.
        "admin": {Permission.QUEUES_EDIT, Permission.PARTNERS_EDIT},
        "security": {Permission.STAFF_EDIT},
        "audit": {Permission.AUDIT_READ},
    }
    assert {role.duty for role in ROLES} == {*acts, None}
    for size in range(1, len(ROLES) + 1):
        for roles in combinations([role.code for role in ROLES], size):
            held = permissions_of(roles)
            doing = {duty for duty, named in acts.items() if held & {str(each) for each in named}}
            # The service refuses more than one duty; a role that names no duty brings none of its acts.
            assert doing == set(duties_of(roles)), roles
