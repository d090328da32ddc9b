"""What the pages of redemptions are put together from: states in words, forms, the table, and what can be done to each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask_babel import gettext
from wtforms.validators import InputRequired, Length, NumberRange

from admin.base import console_url, console_url_or_none
from admin.detail import Field, Section
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, MoneyField, StringField, TextAreaField
from admin.listing import Column, Filter, RowAction, Table
from admin.views.reward_forms import KINDS
from admin.words import member_names
from server.kernel.text import N_
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from server.rewards.queries import Receiver, RedemptionView

STATES = {
    "reserved": Tag(N_("Awaiting payment"), "orange"),
    "placed": Tag(N_("To be fulfilled"), "gold"),
    "fulfilled": Tag(N_("Fulfilled"), "green"),
    "cancelled": Tag(N_("Cancelled"), "grey"),
}
KIND_TAGS = {code: Tag(label, tone) for (code, label), tone in zip(KINDS.items(), ("red", "blue", "purple"), strict=True)}
REFUNDS = {"none": Tag("–", "grey"), "due": Tag(N_("To be refunded"), "red"), "done": Tag(N_("Refunded"), "purple")}
EVENTS = {
    "reserve": Tag(N_("Points reserved"), "orange"),
    "place": Tag(N_("Points redeemed"), "blue"),
    "pay": Tag(N_("Cash part paid"), "blue"),
    "issue": Tag(N_("Coupon issued"), "green"),
    "ship": Tag(N_("Shipped"), "green"),
    "hand_over": Tag(N_("Handed over"), "green"),
    "cancel": Tag(N_("Cancelled, points returned"), "red"),
    "time_out": Tag(N_("Not paid in time, points released"), "grey"),
    "take_back": Tag(N_("Taken back, points returned"), "red"),
    "pay_late": Tag(N_("Payment came too late"), "red"),
    "refund": Tag(N_("Refunded"), "purple"),
}


class ShipForm(ConsoleForm):
    """The parcel."""

    carrier = StringField(L_("Carrier"), [InputRequired(), Length(max=64)])
    tracking_no = StringField(L_("Tracking number"), [InputRequired(), Length(max=64)])
    reason = TextAreaField(L_("Note"), [Length(max=300)])


class PaymentForm(ConsoleForm):
    """A payment that staff saw."""

    payment_ref = StringField(
        L_("Payment number"), [InputRequired(), Length(max=120)], description=L_("As the till or WeChat Pay names it.")
    )
    paid_fen = MoneyField(L_("Paid (yuan)"), [InputRequired(), NumberRange(min=1)])


class RefundForm(ConsoleForm):
    """A refund that staff made."""

    refund_ref = StringField(L_("Refund number"), [InputRequired(), Length(max=120)])


class VoucherForm(ConsoleForm):
    """A voucher shown in a store."""

    voucher_code = StringField(L_("Voucher code"), [InputRequired(), Length(max=20)], description=L_("Scan it from the member's phone."))
    store = StringField(L_("Store code"), [Length(max=64)])


def row_actions(view: RedemptionView) -> list[RowAction]:
    """Return what can be done to a redemption as it stands."""
    to = {"redemption_id": view.id}
    found = []
    if view.state == "placed" and view.kind == "goods":
        found.append(RowAction(N_("Ship"), console_url("redemptions.ship", **to), Permission.REWARDS_FULFIL, tone="primary"))
    if view.state == "placed" and view.kind == "coupon":
        found.append(RowAction(N_("Issue the coupon"), console_url("redemptions.issue", **to), Permission.REWARDS_FULFIL, post=True))
    if view.state == "placed" and view.kind != "coupon":
        found.append(
            RowAction(
                N_("Hand over"),
                console_url("redemptions.hand_over", **to),
                Permission.REWARDS_HAND_OVER,
                post=True,
                reason=True,
                confirm=N_("The member has it in their hands."),
            )
        )
    if view.refund_state == "due":
        found.append(RowAction(N_("Note a refund"), console_url("redemptions.refund", **to), Permission.REWARDS_FULFIL, tone="primary"))
    if view.state != "cancelled":
        fulfilled = view.state == "fulfilled"
        found.append(
            RowAction(
                N_("Take back") if fulfilled else N_("Cancel the redemption"),
                console_url("redemptions.cancel", **to),
                Permission.REWARDS_FULFIL,
                post=True,
                reason=True,
                tone="danger",
                confirm=N_("The points go back into the lots they came from, and the stock is free again."),
            )
        )
    return found


def redemption_columns(session: Session, rows: Sequence[RedemptionView]) -> list[Column]:
    """Return the columns of a list of redemptions, the members' names read in two statements."""
    names = member_names(session, [row.member_id for row in rows])
    return [
        Column(
            N_("Redemption"),
            "redemption_no",
            "link",
            href=lambda row: console_url("redemptions.detail", redemption_id=row.id),
            second="reward_name",
        ),
        Column(N_("Kind"), "kind", "tag", tags=KIND_TAGS),
        Column(
            N_("Member"),
            lambda row: names[row.member_id],
            "link",
            href=lambda row: console_url_or_none("members.detail", member_id=row.member_id),
        ),
        Column(N_("Points"), "points", "points"),
        Column(N_("Cash part"), "cash_fen", "money"),
        Column(N_("State"), "state", "tag", tags=STATES),
        Column(N_("Refund"), "refund_state", "tag", tags=REFUNDS),
        Column(N_("Parcel"), lambda row: row.carrier or "", second=lambda row: row.tracking_no or ""),
        Column(N_("Made on"), "created_at", "minute"),
    ]


def redemption_table(session: Session, rows: Sequence[RedemptionView]) -> Table:
    """Return a table of redemptions with what can be done to each."""
    return Table(
        redemption_columns(session, rows),
        rows,
        lambda row: [RowAction(N_("Details"), console_url("redemptions.detail", redemption_id=row.id)), *row_actions(row)],
        empty=N_("No redemption matches"),
    )


def search_filters() -> list[Filter]:
    """Return the search block of the list."""
    return [
        Filter("number", N_("Number"), placeholder=N_("Redemption, tracking number or voucher")),
        Filter("card", N_("Card number"), placeholder=N_("Whole number")),
        Filter("kind", N_("Kind"), "choice", KINDS),
        Filter("state", N_("State"), "choice", {code: tag.label for code, tag in STATES.items()}),
        Filter("made", N_("Made on"), "date_range"),
    ]


def sections_of(view: RedemptionView, revealed: Receiver | None, member: tuple[str, str | None]) -> list[Section]:
    """Return the cards of a redemption's page; ``member`` is a name and where it leads."""
    name, member_href = member
    coupon_href = console_url_or_none("coupons.detail", coupon_id=view.coupon_id) if view.coupon_id else None
    sections = [
        Section(
            N_("Redemption"),
            [
                Field(N_("Reward"), view.reward_name, "link", href=console_url("rewards.detail", reward_id=view.reward_id)),
                Field(N_("Version"), view.reward_version, "number"),
                Field(N_("Member"), name, "link" if member_href else "text", href=member_href),
                Field(N_("Made on"), view.created_at, "instant"),
                Field(N_("To be paid until"), view.pay_until, "instant"),
                Field(N_("Paid at"), view.paid_at, "instant"),
                Field(N_("Payment number"), view.payment_ref, "code"),
                Field(N_("Refund number"), view.refund_ref, "code"),
                Field(N_("Voucher code"), view.voucher_code, "masked"),
                Field(N_("Valid until"), view.voucher_until, "instant"),
                Field(N_("Coupon"), gettext("Issued") if view.coupon_id else None, "link" if coupon_href else "text", href=coupon_href),
                Field(N_("Parcel"), " ".join(filter(None, (view.carrier, view.tracking_no)))),
            ],
        )
    ]
    receiver = revealed or view.receiver
    if receiver is not None:
        fields = [
            Field(N_("Full name"), receiver.name),
            Field(N_("Phone"), receiver.phone),
            Field(N_("Address"), receiver.address, wide=True),
        ]
        sections.append(Section(N_("Receiver"), fields))
    return sections
