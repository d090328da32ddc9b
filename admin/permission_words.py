"""Permissions as staff read them: by area, with what each lets a person do. A test names every permission that has no words."""

from __future__ import annotations

from dataclasses import dataclass

from server.kernel.text import N_
from server.staff.permissions import Permission

_P = Permission


@dataclass(frozen=True, slots=True)
class PermissionWords:
    """A permission in words.

    Arguments:
        label: English msgid, a few words.
        opens: English msgid, what a person can do with it.
    """

    label: str
    opens: str


AREAS: tuple[tuple[str, dict[Permission, PermissionWords]], ...] = (
    (N_("Workbench"), {_P.WORKBENCH_READ: PermissionWords(N_("Open the workbench"), N_("The first page, and one's own account."))}),
    (
        N_("Members"),
        {
            _P.MEMBERS_READ: PermissionWords(N_("See members"), N_("Search, the member's page and tiers, with phone numbers masked.")),
            _P.MEMBERS_EDIT: PermissionWords(N_("Change members"), N_("Correct profiles, freeze, assign tiers, decide birthday changes.")),
            _P.MEMBERS_REVEAL: PermissionWords(N_("Reveal personal data"), N_("A whole phone number or address, with a reason on record.")),
            _P.MEMBERS_MERGE: PermissionWords(N_("Merge members"), N_("Join two records of one person for good.")),
        },
    ),
    (
        N_("Points & benefits"),
        {
            _P.POINTS_READ: PermissionWords(N_("See points"), N_("The ledger, each entry and the health of the books.")),
            _P.POINTS_ADJUST: PermissionWords(N_("Adjust points"), N_("Give or take points by hand, with a reason.")),
            _P.POINTS_APPROVE: PermissionWords(
                N_("Approve for colleagues"), N_("Decide what a colleague asked for: large adjustments, opening balances, a higher limit.")
            ),
            _P.POINTS_RULES: PermissionWords(N_("Set points rules"), N_("How points are earned, and the policies of refunds.")),
            _P.COUPONS_READ: PermissionWords(N_("See coupons"), N_("Templates, issued coupons and their lives.")),
            _P.COUPONS_EDIT: PermissionWords(N_("Change coupon templates"), N_("Create, edit, publish and pause templates.")),
            _P.COUPONS_ISSUE: PermissionWords(N_("Issue and void coupons"), N_("To one member or many, with a reason.")),
            _P.COUPONS_REDEEM: PermissionWords(N_("Redeem coupons"), N_("Take a coupon shown in a store.")),
            _P.REWARDS_READ: PermissionWords(N_("See rewards"), N_("What points buy, and what members redeemed.")),
            _P.REWARDS_EDIT: PermissionWords(N_("Set rewards"), N_("What points buy, its price, stock and time.")),
            _P.REWARDS_FULFIL: PermissionWords(N_("Send rewards"), N_("Ship redeemed rewards, or cancel them with their points.")),
            _P.REWARDS_HAND_OVER: PermissionWords(N_("Hand rewards over"), N_("Give a reward out in a store for its code.")),
            _P.CAMPAIGNS_READ: PermissionWords(
                N_("See gifts and automatic coupons"), N_("What is given for birthdays and by rules, and who got it.")
            ),
            _P.CAMPAIGNS_EDIT: PermissionWords(
                N_("Set gifts and automatic coupons"), N_("Birthday gifts, and the rules by which coupons are issued by themselves.")
            ),
            _P.RISK_READ: PermissionWords(N_("See risk control"), N_("The block list, velocity rules, and what was refused.")),
            _P.RISK_EDIT: PermissionWords(N_("Set risk control"), N_("Put on the block list, take off it, and change the rules.")),
            _P.RISK_RELEASE: PermissionWords(N_("Release refusals"), N_("Let a member through whom risk control stopped.")),
            _P.SEGMENTS_READ: PermissionWords(N_("See segments"), N_("The rules that choose members, how many, and who they are.")),
            _P.SEGMENTS_EDIT: PermissionWords(N_("Set segments"), N_("Write the rules that choose members, and have their lists built.")),
        },
    ),
    (
        N_("Orders & fulfilment"),
        {
            _P.ORDERS_READ: PermissionWords(N_("See orders"), N_("Orders, exceptions, imports and exports.")),
            _P.ORDERS_EDIT: PermissionWords(N_("Handle order exceptions"), N_("Close an exception with what was found.")),
        },
    ),
    (
        N_("Customer service"),
        {
            _P.TICKETS_READ: PermissionWords(N_("See tickets"), N_("The queue, tickets, canned replies and service figures.")),
            _P.CONTENT_READ: PermissionWords(
                N_("See the content review"), N_("What members wrote or showed that WeChat could not vouch for.")
            ),
            _P.CONTENT_DECIDE: PermissionWords(N_("Decide the content review"), N_("Allow or refuse what members wrote or showed.")),
            _P.TICKETS_WORK: PermissionWords(N_("Work on tickets"), N_("Open, assign, answer and close tickets; write canned replies.")),
        },
    ),
    (
        N_("Messages"),
        {
            _P.MESSAGES_READ: PermissionWords(N_("See messages"), N_("What was sent, to whom, and what became of it.")),
            _P.MESSAGES_EDIT: PermissionWords(N_("Set message templates"), N_("Which WeChat template carries which message.")),
            _P.MESSAGES_DECIDE: PermissionWords(N_("Decide uncertain messages"), N_("Confirm or give up what may have been sent.")),
        },
    ),
    (
        N_("Catalogue"),
        {
            _P.CATALOGUE_READ: PermissionWords(N_("See the catalogue"), N_("Products, stores and warehouses.")),
            _P.CATALOGUE_EDIT: PermissionWords(N_("Change the catalogue"), N_("Products, stores and warehouses by hand.")),
        },
    ),
    (
        N_("Reports"),
        {
            _P.REPORTS_READ: PermissionWords(N_("See reports"), N_("Figures over longer times, without single members.")),
            _P.EXPORTS_CREATE: PermissionWords(N_("Export lists"), N_("Download a list as it is shown, masked, with a reason on record.")),
        },
    ),
    (
        N_("System"),
        {
            _P.STAFF_READ: PermissionWords(N_("See staff accounts"), N_("Accounts, roles, and what each role allows.")),
            _P.STAFF_EDIT: PermissionWords(N_("Manage staff accounts"), N_("Open, close and unlock accounts, set roles, end sessions.")),
            _P.AUDIT_READ: PermissionWords(N_("Read the audit trail"), N_("Search it, check its chain, download it.")),
            _P.QUEUES_READ: PermissionWords(N_("See background work"), N_("Queues, periodic jobs, incidents and events.")),
            _P.QUEUES_EDIT: PermissionWords(N_("Decide on background work"), N_("Try again what was given up; close incidents.")),
            _P.PARTNERS_EDIT: PermissionWords(N_("Manage partners"), N_("Tills, shops and ERPs, their keys and what they may do.")),
            _P.SETTINGS_EDIT: PermissionWords(N_("Change settings"), N_("Tiers of the programme and deadlines of the service desk.")),
        },
    ),
)
