"""What can be allowed, and which role allows it. Pure data: the one place where permissions are named.

A view, action or job names one ``Permission``; whatever names none is refused to everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from server.kernel.text import N_


class Permission(StrEnum):
    """One thing a member of staff may do, as ``noun:verb``."""

    WORKBENCH_READ = "workbench:read"
    MEMBERS_READ = "members:read"
    MEMBERS_EDIT = "members:edit"
    MEMBERS_REVEAL = "members:reveal"
    MEMBERS_MERGE = "members:merge"
    POINTS_READ = "points:read"
    POINTS_ADJUST = "points:adjust"
    POINTS_APPROVE = "points:approve"
    POINTS_RULES = "points:rules"
    COUPONS_READ = "coupons:read"
    COUPONS_EDIT = "coupons:edit"
    COUPONS_ISSUE = "coupons:issue"
    COUPONS_REDEEM = "coupons:redeem"
    REWARDS_READ = "rewards:read"
    REWARDS_EDIT = "rewards:edit"
    REWARDS_FULFIL = "rewards:fulfil"
    REWARDS_HAND_OVER = "rewards:hand_over"
    CAMPAIGNS_READ = "campaigns:read"
    CAMPAIGNS_EDIT = "campaigns:edit"
    RISK_READ = "risk:read"
    RISK_EDIT = "risk:edit"
    RISK_RELEASE = "risk:release"
    SEGMENTS_READ = "segments:read"
    SEGMENTS_EDIT = "segments:edit"
    ORDERS_READ = "orders:read"
    ORDERS_EDIT = "orders:edit"
    TICKETS_READ = "tickets:read"
    TICKETS_WORK = "tickets:work"
    CONTENT_READ = "content:read"
    CONTENT_DECIDE = "content:decide"
    MESSAGES_READ = "messages:read"
    MESSAGES_EDIT = "messages:edit"
    MESSAGES_DECIDE = "messages:decide"
    CATALOGUE_READ = "catalogue:read"
    CATALOGUE_EDIT = "catalogue:edit"
    REPORTS_READ = "reports:read"
    STAFF_READ = "staff:read"
    STAFF_EDIT = "staff:edit"
    AUDIT_READ = "audit:read"
    QUEUES_READ = "queues:read"
    QUEUES_EDIT = "queues:edit"
    PARTNERS_EDIT = "partners:edit"
    EXPORTS_CREATE = "exports:create"
    SETTINGS_EDIT = "settings:edit"


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """A role: a stable code, a name for people, what it is for, and what it allows.

    Arguments:
        code: stable, stored with the account.
        name: English msgid.
        purpose: English msgid, one sentence.
        permissions: everything it allows.
        duty: the separated duty it holds (``admin``, ``security``, ``audit``), or None.
    """

    code: str
    name: str
    purpose: str
    permissions: frozenset[Permission]
    duty: str | None = None


_P = Permission

ROLES: tuple[RoleDefinition, ...] = (
    RoleDefinition(
        "operations",
        N_("Operations"),
        N_("Runs the membership: members, points, coupons, orders, messages, reports and their settings."),
        frozenset(
            {
                _P.WORKBENCH_READ,
                _P.MEMBERS_READ,
                _P.MEMBERS_EDIT,
                _P.MEMBERS_REVEAL,
                _P.MEMBERS_MERGE,
                _P.POINTS_READ,
                _P.POINTS_ADJUST,
                _P.POINTS_APPROVE,
                _P.POINTS_RULES,
                _P.COUPONS_READ,
                _P.COUPONS_EDIT,
                _P.COUPONS_ISSUE,
                _P.COUPONS_REDEEM,
                _P.REWARDS_READ,
                _P.REWARDS_EDIT,
                _P.REWARDS_FULFIL,
                _P.REWARDS_HAND_OVER,
                _P.CAMPAIGNS_READ,
                _P.CAMPAIGNS_EDIT,
                _P.RISK_READ,
                _P.RISK_EDIT,
                _P.RISK_RELEASE,
                _P.SEGMENTS_READ,
                _P.SEGMENTS_EDIT,
                _P.ORDERS_READ,
                _P.ORDERS_EDIT,
                _P.TICKETS_READ,
                _P.TICKETS_WORK,
                _P.CONTENT_READ,
                _P.CONTENT_DECIDE,
                _P.MESSAGES_READ,
                _P.MESSAGES_EDIT,
                _P.MESSAGES_DECIDE,
                _P.CATALOGUE_READ,
                _P.CATALOGUE_EDIT,
                _P.REPORTS_READ,
                _P.EXPORTS_CREATE,
                _P.SETTINGS_EDIT,
            }
        ),
    ),
    RoleDefinition(
        "service",
        N_("Service agent"),
        N_("Answers members: tickets, order look-up, and the benefits that make things right."),
        frozenset(
            {
                _P.WORKBENCH_READ,
                _P.MEMBERS_READ,
                _P.MEMBERS_EDIT,
                _P.MEMBERS_REVEAL,
                _P.POINTS_READ,
                _P.POINTS_ADJUST,
                _P.COUPONS_READ,
                _P.COUPONS_ISSUE,
                _P.REWARDS_READ,
                _P.REWARDS_FULFIL,
                _P.CAMPAIGNS_READ,
                _P.RISK_READ,
                _P.RISK_RELEASE,
                _P.ORDERS_READ,
                _P.TICKETS_READ,
                _P.TICKETS_WORK,
                _P.CONTENT_READ,
                _P.CONTENT_DECIDE,
                _P.MESSAGES_READ,
                _P.CATALOGUE_READ,
            }
        ),
    ),
    RoleDefinition(
        "store",
        N_("Store clerk"),
        N_("Recognises members at the till and redeems their coupons."),
        frozenset(
            {
                _P.WORKBENCH_READ,
                _P.MEMBERS_READ,
                _P.POINTS_READ,
                _P.COUPONS_READ,
                _P.COUPONS_REDEEM,
                _P.REWARDS_READ,
                _P.REWARDS_HAND_OVER,
                _P.ORDERS_READ,
                _P.CATALOGUE_READ,
            }
        ),
    ),
    RoleDefinition(
        "admin",
        N_("System administrator"),
        N_("Keeps the product running: queues, partner keys and the catalogue. Sees no personal data."),
        frozenset({_P.WORKBENCH_READ, _P.QUEUES_READ, _P.QUEUES_EDIT, _P.PARTNERS_EDIT, _P.CATALOGUE_READ, _P.CATALOGUE_EDIT}),
        duty="admin",
    ),
    RoleDefinition(
        "security",
        N_("Security officer"),
        N_("Opens and closes staff accounts and decides who may do what."),
        frozenset({_P.WORKBENCH_READ, _P.STAFF_READ, _P.STAFF_EDIT}),
        duty="security",
    ),
    RoleDefinition(
        "auditor",
        N_("Auditor"),
        N_("Reads the sealed trail and checks it; changes nothing."),
        frozenset({_P.WORKBENCH_READ, _P.AUDIT_READ, _P.STAFF_READ, _P.QUEUES_READ, _P.REPORTS_READ}),
        duty="audit",
    ),
)

ROLES_BY_CODE: dict[str, RoleDefinition] = {role.code: role for role in ROLES}


def permissions_of(role_codes: frozenset[str] | set[str] | tuple[str, ...]) -> frozenset[str]:
    """Return the union of what the roles allow, as ``noun:verb`` codes; an unknown role allows nothing."""
    return frozenset(str(permission) for code in role_codes if code in ROLES_BY_CODE for permission in ROLES_BY_CODE[code].permissions)


def duties_of(role_codes: frozenset[str] | set[str] | tuple[str, ...]) -> frozenset[str]:
    """Return which of the separated duties the roles hold."""
    return frozenset(role.duty for code in role_codes if (role := ROLES_BY_CODE.get(code)) is not None and role.duty is not None)
