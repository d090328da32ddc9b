"""Codes as staff read them: acts of the audit trail, who acted, channels of sale, and a member who gave no name.

A code that nobody has put into words yet is shown as it is, so that nothing is hidden; a test names the missing ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from flask_babel import gettext

from server.cards import queries as cards
from server.kernel.text import N_
from server.members import queries as members
from server.staff import queries as staff

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sqlalchemy.orm import Session

ACTIONS: dict[str, str] = {
    "approval.approve": N_("Request approved"),
    "approval.ask": N_("Second person asked"),
    "approval.expire": N_("Request not decided in time"),
    "approval.refuse": N_("Request refused"),
    "approval.withdraw": N_("Request withdrawn"),
    "audit.export": N_("Audit trail downloaded"),
    "audit.verify": N_("Audit chain checked"),
    "birthday_policy.set": N_("Birthday policy set"),
    "festival.set": N_("Festival set"),
    "festival.start": N_("Festival switched on"),
    "festival.stop": N_("Festival switched off"),
    "festival.stop_run": N_("Celebration stopped"),
    "canned_reply.add": N_("Canned reply added"),
    "canned_reply.change": N_("Canned reply changed"),
    "category.create": N_("Category created"),
    "category.edit": N_("Category edited"),
    "content.allow": N_("Content allowed"),
    "content.refuse": N_("Content refused"),
    "coupon.issue": N_("Coupon issued"),
    "coupon.redeem": N_("Coupon redeemed"),
    "coupon.return": N_("Coupon returned"),
    "coupon.void": N_("Coupon voided"),
    "coupon_codes.download": N_("Codes downloaded"),
    "coupon_codes.make": N_("Batch of codes made"),
    "coupon_codes.stop": N_("Batch of codes stopped"),
    "coupon_issue.recall": N_("Coupons of a file recalled"),
    "coupon_issue.start": N_("Issue to a file started"),
    "coupon_trigger.save": N_("Rule for automatic coupons set"),
    "coupon_template.create": N_("Coupon template created"),
    "coupon_template.pause": N_("Coupon template paused"),
    "coupon_template.publish": N_("Coupon template published"),
    "coupon_template.resume": N_("Coupon template resumed"),
    "coupon_template.update": N_("Coupon template edited"),
    "delivery.retry": N_("Event tried again"),
    "segment.build": N_("New list of a segment asked for"),
    "segment.save": N_("Segment set"),
    "export.download": N_("List downloaded"),
    "incident.close": N_("Incident closed"),
    "member.add_identity": N_("Channel identity added"),
    "member.bind_phone": N_("Phone number bound"),
    "member.declare_consents": N_("Consents entered"),
    "member.cancel_deletion": N_("Deletion taken back"),
    "member.erase": N_("Personal data erased"),
    "member.merge": N_("Records merged"),
    "member.withdraw_data": N_("Data withdrawn in WeChat deleted"),
    "member.request_deletion": N_("Deletion asked for"),
    "member.reveal_phone": N_("Phone number shown to staff"),
    "member.set_status": N_("Status changed"),
    "member.update_profile": N_("Profile edited"),
    "member_change.approve": N_("Change approved"),
    "member_change.refuse": N_("Change refused"),
    "message.decide": N_("Uncertain message decided"),
    "message_template.set": N_("Message template set"),
    "message_template.sync": N_("Templates of the WeChat account looked up"),
    "wechat.clear_quota": N_("WeChat quotas cleared"),
    "message_template.route": N_("Messages over channels changed"),
    "message_template.carrier": N_("Provider's template chosen"),
    "member.email_asked": N_("E-mail address asked for"),
    "member.email_verified": N_("E-mail address proved"),
    "member.email_removed": N_("E-mail address given up"),
    "member.unsubscribed": N_("Ordered messages off"),
    "order.reveal": N_("Receiver shown to staff"),
    "order_exception.close": N_("Order exception closed"),
    "card.alias_add": N_("Old card added"),
    "order_policies.change": N_("Policies of receipts and tills changed"),
    "referral.refuse": N_("Invitation refused"),
    "referral.release": N_("Invitation released"),
    "referral_policy.change": N_("Policy of invitations changed"),
    "receipt.attach": N_("Purchase given to a member"),
    "partner.change": N_("Partner changed"),
    "partner.create": N_("Partner created"),
    "partner_key.create": N_("Partner key created"),
    "partner_key.revoke": N_("Partner key revoked"),
    "points.adjust": N_("Points adjusted"),
    "points_controls.declare": N_("Controls of points declared"),
    "points_month.close": N_("Month of points closed"),
    "points_payment.set": N_("Payment with points set"),
    "points_dry_run.ask": N_("Dry run asked for"),
    "points_rule.draft": N_("Draft of a points rule saved"),
    "points_rule.drop": N_("Draft of a points rule given up"),
    "points_rule.save": N_("Points rule saved"),
    "points_settings.change": N_("Points policies changed"),
    "product.create": N_("Product created"),
    "product.edit": N_("Product edited"),
    "product.import": N_("Products imported"),
    "redemption.cancel": N_("Redemption cancelled"),
    "redemption.hand_over": N_("Redemption handed over"),
    "redemption.issue": N_("Coupon of a redemption issued"),
    "redemption.pay": N_("Payment of a redemption noted"),
    "redemption.pay_late": N_("Late payment of a redemption noted"),
    "redemption.refund": N_("Refund of a redemption noted"),
    "redemption.ship": N_("Redemption shipped"),
    "redemption.take_back": N_("Redemption taken back"),
    "risk_entry.add": N_("Put on the block list"),
    "risk_entry.end": N_("Taken off the block list"),
    "risk_hold.release": N_("Held member released"),
    "risk_refusal.release": N_("Refusal released"),
    "risk_rules.change": N_("Velocity rules changed"),
    "reward.create": N_("Reward created"),
    "reward.pause": N_("Reward paused"),
    "reward.publish": N_("Reward published"),
    "reward.update": N_("Reward edited"),
    "redemption.reveal": N_("Receiver of a redemption shown to staff"),
    "service_desk.configure": N_("Service desk configured"),
    "staff.assign_roles": N_("Roles of staff changed"),
    "staff.create": N_("Staff account created"),
    "staff.disable": N_("Staff account disabled"),
    "staff.end_session": N_("Session of staff ended"),
    "staff.enable": N_("Staff account enabled"),
    "staff.locked": N_("Staff account locked"),
    "staff.login": N_("Staff signed in"),
    "staff.logout": N_("Staff signed out"),
    "staff.reset_second_factor": N_("Second factor reset"),
    "staff.second_factor_set": N_("Second factor set"),
    "staff.set_password": N_("Staff password changed"),
    "store.create": N_("Store created"),
    "store.edit": N_("Store edited"),
    "store.import": N_("Stores imported"),
    "ticket.answer": N_("Ticket answered"),
    "ticket.assign": N_("Ticket assigned"),
    "ticket.classify": N_("Ticket classified"),
    "ticket.close": N_("Ticket closed"),
    "ticket.open": N_("Ticket opened"),
    "ticket.reopen": N_("Ticket reopened"),
    "ticket.start": N_("Work on ticket started"),
    "growth_rule.draft": N_("Growth rule drafted"),
    "growth_rule.drop": N_("Draft of the growth rule given up"),
    "growth_rule.publish": N_("Growth rule published"),
    "tier.assign": N_("Tier assigned"),
    "tier.define": N_("Tier defined"),
    "tier.lock": N_("Tier locked"),
    "tier.unlock": N_("Tier unlocked"),
    "warehouse.create": N_("Warehouse created"),
    "warehouse.edit": N_("Warehouse edited"),
}
SUBJECTS: dict[str, str] = {
    "approval": N_("Request for approval"),
    "audit": N_("Audit trail"),
    "birthday_policy": N_("Birthday policy"),
    "festival": N_("Festival"),
    "canned_reply": N_("Canned reply"),
    "category": N_("Category"),
    "content_check": N_("Content under review"),
    "coupon": N_("Coupon"),
    "coupon_code_batch": N_("Batch of codes"),
    "coupon_issue_file": N_("File of members"),
    "coupon_template": N_("Coupon template"),
    "coupon_trigger": N_("Rule for automatic coupons"),
    "delivery": N_("Event delivery"),
    "export": N_("List"),
    "incident": N_("Incident"),
    "member": N_("Member"),
    "message": N_("Message"),
    "message_template": N_("Message template"),
    "order": N_("Order"),
    "order_exception": N_("Order exception"),
    "order_policies": N_("Policies of receipts and tills"),
    "referral": N_("Invitation"),
    "referral_policy": N_("Policy of invitations"),
    "partner": N_("Partner"),
    "partner_key": N_("Partner key"),
    "segment": N_("Segment"),
    "points_controls": N_("Controls of points"),
    "points_month": N_("Month of points"),
    "points_payment": N_("Payment with points"),
    "points_dry_run": N_("Dry run"),
    "points_rule": N_("Points rule"),
    "points_rule_draft": N_("Draft of a rule"),
    "points_settings": N_("Points policies"),
    "product": N_("Product"),
    "redemption": N_("Redemption"),
    "reward": N_("Reward"),
    "risk_entry": N_("Entry of the block list"),
    "risk_refusal": N_("Refusal"),
    "risk_rules": N_("Velocity rules"),
    "service_desk": N_("Service desk"),
    "staff": N_("Staff"),
    "store": N_("Store"),
    "ticket": N_("Ticket"),
    "growth_rule": N_("Growth rule"),
    "tier": N_("Tier"),
    "warehouse": N_("Warehouse"),
    "wechat_account": N_("WeChat account"),
}
ACTORS: dict[str, str] = {"member": N_("Member"), "staff": N_("Staff"), "partner": N_("Partner"), "system": N_("System")}
CHANNELS: dict[str, str] = {
    "store": N_("In store"),
    "mall": N_("Own mall"),
    "tmall": N_("Tmall"),
    "jd": N_("JD.com"),
    "douyin": N_("Douyin"),
    "youzan": N_("Youzan"),
}
# How the key of a source begins, and what it is; a namespace of a partner's own is shown by its name.
SOURCES: dict[str, str] = {
    "adjust": N_("Adjusted by hand"),
    "adjustment": N_("Adjusted by hand"),
    "balance": N_("Opening balance"),
    "birthday": N_("Birthday gift"),
    "festival": N_("Festival gift"),
    "cancel": N_("Redemption cancelled"),
    "cancellation": N_("Order cancelled"),
    "coupon": N_("Reward"),
    "check-in": N_("Daily check-in"),
    "event": N_("Points for an event"),
    "event-back": N_("Points for an event taken back"),
    "expire": N_("Expiry"),
    "friend": N_("Invitation"),
    "inviter": N_("Invitation"),
    "gift": N_("Gift for reaching a new tier"),
    "issue": N_("Issued by hand"),
    "merge": N_("Records merged"),
    "order": N_("Order"),
    "order-attached": N_("Order"),
    "handed-over": N_("Purchase given to a member"),
    "redeem": N_("Points redeemed"),
    "redemption": N_("Reward"),
    "refund": N_("Refund"),
    "release": N_("Released"),
    "reserve": N_("Reserved"),
    "reward": N_("Reward"),
    "unlock": N_("Points unlocked"),
}
FACTS: dict[str, str] = {"expected": N_("Expected amount"), "payable": N_("Payable"), "refund": N_("Refund"), "amount": N_("Amount")}


def action_words(code: str) -> str:
    """Return an act of the audit trail in words."""
    return str(gettext(ACTIONS.get(code, code)))


def subject_words(code: str) -> str:
    """Return the kind of thing an act was done to, in words."""
    return str(gettext(SUBJECTS.get(code, code)))


def actor_words(kind: str, name: str) -> str:
    """Return who acted: people by their name, the product's own jobs as the system."""
    if kind in {"system", "member"} or not name:
        return str(gettext(ACTORS.get(kind, kind)))
    return name


def channel_words(code: str) -> str:
    """Return a channel of sale in words."""
    return str(gettext(CHANNELS.get(code, code)))


def order_words(channel: str | None, number: str | None) -> str:
    """Return an order as people name it: where it was placed, and its number there."""
    return " · ".join(filter(None, (channel_words(channel) if channel else "", number)))


def source_words(namespace: str, key: str) -> str:
    """Return what a movement of points came from, in words."""
    kind = key.partition(":")[0]
    return str(gettext(SOURCES[kind])) if kind in SOURCES else namespace


def fact_words(name: str) -> str:
    """Return the name of a small fact, as the details of an exception carry them, in words."""
    return str(gettext(FACTS.get(name, name)))


def maker_names(session: Session, refs: Iterable[str]) -> dict[str, str]:
    """Return who made each of some versions, from the reference that was kept: staff by name, else the system. One statement.

    Arguments:
        session: a session to read in.
        refs: an actor's ``ref`` each: the id of a staff account, or the name of a job of the product.

    Returns:
        A text for every reference that was asked.
    """
    wanted = set(refs)
    accounts = {ref: found for ref in wanted if (found := _account(ref)) is not None}
    names = staff.names(session, accounts.values())
    return {ref: names.get(accounts[ref], gettext("Staff")) if ref in accounts else str(gettext("System")) for ref in wanted}


def _account(ref: str) -> UUID | None:
    try:
        return UUID(ref)
    except ValueError:
        return None


def member_names(session: Session, member_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Return how each of many members is shown: the nickname, or the end of the card number of one who gave none. Two statements.

    Arguments:
        session: a session to read in.
        member_ids: whom to name.

    Returns:
        A text for every id that was asked.
    """
    wanted = list(dict.fromkeys(member_ids))
    names = members.names_of(session, wanted)
    card_nos = cards.numbers_of(session, [one for one in wanted if one not in names])
    nameless = gettext("No nickname")
    return {one: names.get(one) or (f"{nameless} ****{card_nos[one][-4:]}" if one in card_nos else nameless) for one in wanted}
