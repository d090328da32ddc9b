"""What the page of one member shows of each domain: its panels, and its moments for the timeline.

A domain that has something to show adds a function to ``PARTS``; who lacks the permission does not see it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from flask_babel import gettext
from sqlalchemy.orm import Session

from admin import formats
from admin.base import console_url_or_none, may
from admin.detail import Moment, Panel
from admin.formats import Tag
from admin.listing import Column, RowAction, Table
from admin.views.channel_words import CHANNELS, moment_of
from admin.views.message_words import reason_text
from admin.views.points import KINDS as ENTRY_KINDS
from admin.views.points import LOT_STATES
from admin.views.risk_words import SCOPES as RISK_SCOPES
from admin.views.risk_words import WAYS as RISK_WAYS
from admin.views.tier_tables import statement_table
from admin.words import action_words, actor_words
from server.audit import queries as audit
from server.cards import queries as cards
from server.coupons import queries as coupons
from server.feedback import queries as feedback
from server.flows.withdrawals import DUTIES
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import deletion_queries, merge_queries, session_queries, withdrawals
from server.members import queries as members
from server.notifications import attempts
from server.notifications import queries as notifications
from server.orders import queries as orders
from server.points import queries as points
from server.risk import queries as risk
from server.staff import approvals
from server.staff.permissions import Permission
from server.tiers import queries as tiers
from server.wechat import withdrawn

_SHOWN = PageRequest(10)
_TRIED_SHOWN = timedelta(days=90)
_MOST_TRIED = 30

COUPON_STATES = {
    "issued": Tag(N_("Available"), "green"),
    "locked": Tag(N_("Locked"), "orange"),
    "redeemed": Tag(N_("Redeemed"), "blue"),
    "expired": Tag(N_("Expired"), "grey"),
    "voided": Tag(N_("Voided"), "grey"),
}
ORDER_STATES = {
    "placed": Tag(N_("Awaiting payment"), "orange"),
    "paid": Tag(N_("Paid"), "gold"),
    "shipped": Tag(N_("Shipped"), "blue"),
    "delivered": Tag(N_("Delivered"), "cyan"),
    "completed": Tag(N_("Completed"), "green"),
    "cancelled": Tag(N_("Cancelled"), "grey"),
    "refunded": Tag(N_("Refunded"), "red"),
}
TICKET_STATES = {
    "open": Tag(N_("New"), "red"),
    "assigned": Tag(N_("Assigned"), "orange"),
    "working": Tag(N_("In progress"), "blue"),
    "answered": Tag(N_("Answered"), "cyan"),
    "closed": Tag(N_("Closed"), "grey"),
    "reopened": Tag(N_("Reopened"), "red"),
}
MESSAGE_STATES = {
    "queued": Tag(N_("Queued"), "orange"),
    "sending": Tag(N_("Sending"), "blue"),
    "sent": Tag(N_("Sent"), "cyan"),
    "delivered": Tag(N_("Delivered"), "green"),
    "failed": Tag(N_("Failed"), "red"),
    "uncertain": Tag(N_("Uncertain"), "gold"),
    "skipped": Tag(N_("Inbox only"), "grey"),
}
PURPOSES = {
    "membership_terms": N_("Membership terms"),
    "marketing": N_("Marketing messages"),
    "recommendations": N_("Recommendations"),
    "surveys": N_("Surveys"),
}
GRANTED = {True: Tag(N_("Granted"), "green"), False: Tag(N_("Withdrawn"), "grey")}


@dataclass(frozen=True, slots=True)
class Part:
    """What one domain adds to the page of a member."""

    panels: Sequence[Panel] = ()
    moments: Sequence[Moment] = field(default_factory=list)


PartOf = Callable[[Session, UUID, datetime], Part]


def _points(session: Session, member_id: UUID, _now: datetime) -> Part:
    entries = points.entries(session, member_id, _SHOWN).items
    lots = points.lots(session, member_id, _SHOWN).items
    statement = Table(
        [
            Column(N_("Time"), "occurred_at", "minute"),
            Column(N_("Kind"), "kind", "tag", tags=ENTRY_KINDS),
            Column(N_("Points"), "points", "points"),
            Column(N_("Available after"), "available_after", "points"),
            Column(N_("Pending after"), "pending_after", "points"),
            Column(
                N_("Reason"),
                lambda row: formats.translated(row.reason),
                "link",
                href=lambda row: console_url_or_none("points.detail", entry_id=row.id),
                second="rule",
            ),
        ],
        entries,
        empty=N_("No points yet"),
    )
    stock = Table(
        [
            Column(N_("Earned on"), "created_at", "minute"),
            Column(N_("State"), "state", "tag", tags=LOT_STATES),
            Column(N_("Earned"), "amount", "points"),
            Column(N_("Left"), "left", "points"),
            Column(N_("Unlocks"), "unlock_at", "minute"),
            Column(N_("Expires"), "expires_at", "date"),
        ],
        lots,
        empty=N_("No points yet"),
    )
    moments = [
        Moment(
            row.occurred_at,
            ENTRY_KINDS[row.kind].label if row.kind in ENTRY_KINDS else row.kind,
            f"{row.points:+,} · {formats.translated(row.reason)}",
            "gold",
        )
        for row in entries[:6]
    ]
    whole = console_url_or_none("points.index", card_no=cards.numbers_of(session, [member_id]).get(member_id, ""))
    panels = [
        Panel(N_("Points statement"), table=statement, name="points", more=(N_("All entries"), whole) if whole else None),
        Panel(N_("Points lots"), table=stock, name="lots"),
    ]
    return Part(panels, moments)


def _approvals(session: Session, member_id: UUID, _now: datetime) -> Part:
    waiting = approvals.pending_about(session, "member", member_id)
    if not waiting:
        return Part()
    table = Table(
        [
            Column(N_("Asked"), "asked_at", "minute"),
            Column(N_("Points"), lambda row: row.payload.get("points"), "points"),
            Column(N_("Reason"), "reason"),
            Column(N_("Asked by"), "asked_name"),
        ],
        waiting,
    )
    queue = console_url_or_none("approvals.index", state="pending")
    return Part([Panel(N_("Waits for a second person"), table=table, more=(N_("Approvals"), queue) if queue else None)])


def _coupons(session: Session, member_id: UUID, now: datetime) -> Part:
    rows = coupons.wallet(session, member_id, None, _SHOWN, now=now).items
    table = Table(
        [
            Column(N_("Coupon"), "name", "link", href=lambda row: console_url_or_none("coupons.detail", coupon_id=row.id), second="code"),
            Column(N_("State"), "state", "tag", tags=COUPON_STATES),
            Column(N_("Valid until"), "valid_until", "minute"),
            Column(N_("Issued"), "issued_at", "minute"),
            Column(N_("Redeemed"), "redeemed_at", "minute"),
        ],
        rows,
        empty=N_("No coupons yet"),
    )
    moments = [Moment(row.issued_at, N_("Coupon issued"), row.name, "purple") for row in rows[:4]]
    return Part([Panel(N_("Coupons"), table=table, name="coupons")], moments)


def _orders(session: Session, member_id: UUID, _now: datetime) -> Part:
    rows = orders.of_member(session, member_id, None, _SHOWN).items
    table = Table(
        [
            Column(
                N_("Order"),
                "order_no",
                "link",
                href=lambda row: console_url_or_none("orders.detail", order_id=row.id),
                second="first_line",
            ),
            Column(N_("State"), "state", "tag", tags=ORDER_STATES),
            Column(N_("Payable"), "payable_fen", "money"),
            Column(N_("Refunded amount"), "refunded_fen", "money"),
            Column(N_("Placed on"), "placed_at", "minute"),
        ],
        rows,
        empty=N_("No orders yet"),
    )
    moments = [Moment(row.placed_at, N_("Order placed"), f"{row.order_no} · {formats.money(row.payable_fen)}", "blue") for row in rows[:6]]
    return Part([Panel(N_("Orders"), table=table, name="orders")], moments)


def _tickets(session: Session, member_id: UUID, _now: datetime) -> Part:
    rows = feedback.of_member(session, member_id, _SHOWN).items
    table = Table(
        [
            Column(
                N_("Ticket"),
                "ticket_no",
                "link",
                href=lambda row: console_url_or_none("tickets.detail", ticket_no=row.ticket_no),
                second="excerpt",
            ),
            Column(N_("State"), "state", "tag", tags=TICKET_STATES),
            Column(N_("Opened"), "opened_at", "minute"),
            Column(N_("Answered on"), "answered_at", "minute"),
        ],
        rows,
        empty=N_("No tickets yet"),
    )
    moments = [Moment(row.opened_at, N_("Ticket opened"), f"{row.ticket_no} · {row.excerpt}", "orange") for row in rows[:4]]
    return Part([Panel(N_("Tickets"), table=table, name="tickets")], moments)


def _messages(session: Session, member_id: UUID, at: datetime) -> Part:
    rows = notifications.messages(session, notifications.MessageFilter(member_id=member_id), _SHOWN).items
    table = Table(
        [
            Column(N_("Message"), "title", second="body"),
            Column(N_("State"), "state", "tag", tags=MESSAGE_STATES),
            Column(N_("Channel"), "channel", "tag", tags=CHANNELS),
            Column(N_("Created"), "created_at", "minute"),
            Column(N_("Read"), "read_at", "minute"),
        ],
        rows,
        empty=N_("No messages yet"),
    )
    tried = attempts.of_member(session, member_id, at - _TRIED_SHOWN)
    newest = list(reversed(tried))[:_MOST_TRIED]
    log = Panel(N_("Attempts to reach the member"), timeline=[moment_of(one, reason_text(one.reason)) for one in newest])
    return Part([Panel(N_("Messages"), table=table, name="messages"), *([log] if tried else [])])


def _consents(session: Session, member_id: UUID, _now: datetime) -> Part:
    consents = Table(
        [
            Column(N_("Purpose"), lambda row: formats.translated(PURPOSES.get(row.purpose, row.purpose))),
            Column(N_("Declared"), "granted", "tag", tags=GRANTED),
            Column(N_("Policy version"), "policy_version", "code"),
            Column(N_("Declared on"), "occurred_at", "minute"),
        ],
        members.consents_of(session, member_id),
        empty=N_("Nothing declared yet"),
    )
    return Part([Panel(N_("Consents"), table=consents, name="consents")])


def _withdrawals(session: Session, member_id: UUID, _now: datetime) -> Part:
    rows = withdrawals.of_records(session, deletion_queries.records_of(session, member_id))
    if not rows:
        return Part()
    table = Table(
        [
            Column(N_("Event"), lambda row: formats.translated(withdrawn.EVENTS.get(row.event, row.event)), second=_withdrawn_words),
            Column(N_("Deleted here"), lambda row: _duty_words(duty for duty in row.duties if duty not in row.held)),
            Column(
                N_("Held for a parcel"),
                lambda row: _duty_words(row.held),
                tip=N_("A parcel under way still needs its receiver; it is deleted when the parcel has left."),
            ),
            Column(N_("Withdrawn on"), "occurred_at", "minute"),
            Column(N_("All deleted on"), "done_at", "minute"),
        ],
        rows,
    )
    moments = [Moment(row.occurred_at, withdrawn.EVENTS.get(row.event, row.event), _withdrawn_words(row), "red") for row in rows[:4]]
    return Part([Panel(N_("Withdrawn in WeChat"), table=table, name="withdrawals")], moments)


def _withdrawn_words(row: withdrawals.WithdrawalView) -> str:
    return ", ".join(formats.translated(withdrawn.CODES.get(code, code)) for code in row.codes)


def _duty_words(duties: Iterable[str]) -> str | None:
    return ", ".join(formats.translated(DUTIES.get(duty, duty)) for duty in duties) or None


def _identities(session: Session, member_id: UUID, now: datetime) -> Part:
    identities = Table(
        [Column(N_("Channel"), "channel", "code"), Column(N_("Since"), "created_at", "minute")],
        members.identities_of(session, member_id),
        empty=N_("Known by no channel"),
    )
    log_ins = Table(
        [
            Column(N_("Client"), "client"),
            Column(N_("Network"), "network", "code"),
            Column(N_("Logged in"), "created_at", "minute"),
            Column(N_("Last seen"), "last_seen_at", "ago"),
        ],
        session_queries.sessions_of(session, member_id, now),
        empty=N_("Nobody is logged in"),
    )
    return Part([Panel(N_("Channel identities"), table=identities, name="channels"), Panel(N_("Log-ins"), table=log_ins, name="sessions")])


def _growth(session: Session, member_id: UUID, _now: datetime) -> Part:
    rows = tiers.entries(session, member_id, _SHOWN).items
    address = console_url_or_none("tier-growth.member", member_id=member_id)
    more = (N_("Standing and lock"), address) if address else None
    return Part([Panel(N_("Growth"), table=statement_table(rows), name="growth", more=more)])


def _risk(session: Session, member_id: UUID, now: datetime) -> Part:
    held, refused = risk.holds_of(session, member_id, now), risk.refusals(session, _SHOWN, member_id=member_id).items
    if not held and not refused:
        return Part()
    holds = Table(
        [
            Column(N_("Held from"), "scope", "tag", tags=RISK_SCOPES),
            Column(N_("Since"), "created_at", "minute"),
            Column(N_("Until"), "until", "minute"),
        ],
        held,
        lambda row: [
            RowAction(N_("Release"), address, Permission.RISK_RELEASE)
            for address in (console_url_or_none("risk.release_member", member_id=member_id, scope=row.scope),)
            if address
        ],
        empty=N_("Nothing holds this member"),
    )
    moments = [Moment(row.occurred_at, N_("Refused by risk control"), gettext(RISK_WAYS[row.way].label), "red") for row in refused]
    return Part([Panel(N_("Risk control"), table=holds, name="risk")], moments)


def _history(session: Session, member_id: UUID, _now: datetime) -> Part:
    moments = [
        Moment(change.occurred_at, N_("Tier changed"), f"{change.from_name or '–'} → {change.to_name}", "gold")
        for change in tiers.changes(session, member_id, limit=5)
    ]
    wanted = audit.EntryFilter(subject_type="member", subject_id=str(member_id))
    moments += [
        Moment(
            entry.occurred_at,
            action_words(entry.action),
            "" if entry.actor_kind == "system" else entry.reason or "",
            "red",
            by=actor_words(entry.actor_kind, entry.actor_name),
        )
        for entry in audit.list_entries(session, _SHOWN, wanted).items
    ]
    moments += [
        Moment(
            merge.merged_at, N_("Records merged"), gettext("The record of %(when)s ended", when=formats.minute(merge.merged_at)), "purple"
        )
        for merge in merge_queries.merges_of(session, member_id)
    ]
    return Part((), moments)


PARTS: tuple[tuple[Permission, PartOf], ...] = (
    (Permission.POINTS_READ, _approvals),
    (Permission.POINTS_READ, _points),
    (Permission.COUPONS_READ, _coupons),
    (Permission.ORDERS_READ, _orders),
    (Permission.TICKETS_READ, _tickets),
    (Permission.MESSAGES_READ, _messages),
    (Permission.MEMBERS_READ, _consents),
    (Permission.MEMBERS_READ, _withdrawals),
    (Permission.MEMBERS_READ, _identities),
    (Permission.MEMBERS_READ, _growth),
    (Permission.RISK_READ, _risk),
    (Permission.MEMBERS_READ, _history),
)
_TIMELINE_LENGTH = 16


def panels_of(session: Session, member: members.MemberView, now: datetime) -> list[Panel]:
    """Return every panel that who is signed in may see, the timeline of all of them last."""
    panels: list[Panel] = []
    moments = [Moment(member.joined_at, N_("Joined"), "", "green")]
    for permission, part_of in PARTS:
        if may(permission):
            part = part_of(session, member.id, now)
            panels.extend(part.panels)
            moments.extend(part.moments)
    moments.sort(key=lambda moment: moment.at, reverse=True)
    return [*panels, Panel(N_("Timeline"), timeline=moments[:_TIMELINE_LENGTH], side=True)]
