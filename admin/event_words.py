"""Events and periodic jobs as staff read them. Codes that nobody has put into words yet are shown as they are; a test names them."""

from __future__ import annotations

from flask_babel import gettext

from server.kernel.text import N_

TOPICS: dict[str, str] = {
    "coupons.codes_wanted": N_("Codes wanted"),
    "coupons.issue_wanted": N_("Issue to a file wanted"),
    "coupons.expiring": N_("Coupon about to expire"),
    "coupons.issued": N_("Coupon issued"),
    "coupons.recall_wanted": N_("Recall of coupons wanted"),
    "coupons.gift_ended": N_("Coupon gift answered"),
    "coupons.recalled": N_("Coupon recalled"),
    "coupons.redeemed": N_("Coupon redeemed"),
    "coupons.returned": N_("Coupon returned"),
    "coupons.voided": N_("Coupon voided"),
    "feedback.ticket_answered": N_("Ticket answered"),
    "feedback.ticket_closed": N_("Ticket closed"),
    "feedback.ticket_opened": N_("Ticket opened"),
    "feedback.ticket_rated": N_("Service rated"),
    "members.enrolled": N_("Member joined"),
    "members.merged": N_("Records merged"),
    "members.email_code_asked": N_("Code for an e-mail address asked for"),
    "members.phone_bound": N_("Phone number bound"),
    "members.profile_completed": N_("Profile completed"),
    "members.deletion_requested": N_("Deletion asked for"),
    "members.erased": N_("Personal data erased"),
    "notifications.due": N_("Many messages are due"),
    "notifications.queued": N_("Message queued"),
    "orders.cancelled": N_("Order cancelled"),
    "orders.completed": N_("Order completed"),
    "orders.delivered": N_("Order delivered"),
    "orders.paid": N_("Order paid"),
    "orders.attached": N_("Purchase given to a member"),
    "orders.refunded": N_("Order refunded"),
    "orders.shipped": N_("Order dispatched"),
    "orders.taken_in": N_("Order taken in"),
    "points.accrued": N_("Points earned"),
    "points.dry_run_asked": N_("Dry run asked for"),
    "points.expiring": N_("Points about to expire"),
    "points.opening_approved": N_("Opening balances approved"),
    "points.expired": N_("Points expired"),
    "points.redeemed": N_("Points redeemed"),
    "points.reversed": N_("Points taken back"),
    "rewards.cancelled": N_("Redemption cancelled"),
    "rewards.handed_over": N_("Reward handed over"),
    "rewards.placed": N_("Reward redeemed"),
    "rewards.shipped": N_("Reward dispatched"),
    "schedule.due": N_("Periodic job due"),
    "screening.check_wanted": N_("Picture to be checked"),
    "screening.content_refused": N_("Content refused"),
    "tiers.at_risk": N_("Tier at risk"),
    "tiers.changed": N_("Tier changed"),
    "wechat.data_withdrawn": N_("Data withdrawn in WeChat"),
    "wechat.media_checked": N_("Picture checked by WeChat"),
    "wechat.trade_event": N_("News of an order from WeChat"),
}
THINGS: dict[str, str] = {
    "content_check": N_("Content check"),
    "coupon": N_("Coupon"),
    "coupon_code_batch": N_("Batch of codes"),
    "coupon_gift": N_("Coupon gift"),
    "coupon_issue_file": N_("File of members"),
    "coupon_recall": N_("Recall of coupons"),
    "dry_run": N_("Dry run"),
    "member": N_("Member"),
    "notification": N_("Message"),
    "order": N_("Order"),
    "points_opening": N_("Opening balances"),
    "redemption": N_("Redemption"),
    "schedule": N_("Schedule"),
    "ticket": N_("Ticket"),
    "wechat_push": N_("Push from WeChat"),
}
JOBS: dict[str, str] = {
    "approvals.expire_due": N_("Close requests nobody decided"),
    "audit.seal": N_("Seal the audit trail"),
    "birthdays.celebrate": N_("Give birthday gifts"),
    "coupons.expire_due": N_("Expire coupons"),
    "coupons.forget_seeds": N_("Erase the codes of files past their time"),
    "coupons.lapse_gifts": N_("Bring back coupons no friend accepted"),
    "coupons.release_due": N_("Release coupons kept for orders"),
    "coupons.remind_expiring": N_("Remind of expiring coupons"),
    "coupons.watch_limits": N_("Watch coupons' stock and budget"),
    "channels.name_followers": N_("Recognise followers of the Official Account"),
    "channels.walk_followers": N_("Walk through the followers of the Official Account"),
    "deliveries.sweep": N_("Take up events left lying"),
    "feedback.close_silent": N_("Close answered tickets"),
    "festivals.celebrate": N_("Celebrate festivals"),
    "idempotency.forget": N_("Forget old answers to repeated requests"),
    "messages.build_reach": N_("Count whom messages can reach"),
    "messages.sum_up_allowances": N_("Sum up allowances by day"),
    "messages.roll_up": N_("Sum up messages by the hour"),
    "messages.watch": N_("Watch the flow of messages"),
    "notifications.deliver_due": N_("Send messages that are due"),
    "notifications.sweep": N_("Take up messages left lying"),
    "notifications.sync_templates": N_("Compare the templates with WeChat's"),
    "orders.apply_pending": N_("Give orders the events that came before them"),
    "orders.complete_due": N_("Complete delivered orders"),
    "outbox.forget": N_("Forget finished events"),
    "members.delete_held": N_("Delete withdrawn data that parcels still needed"),
    "members.erase_due": N_("Forget members who left"),
    "points.expire_due": N_("Expire points"),
    "points.remind_expiring": N_("Tell of expiring points"),
    "points.close_months": N_("Close the months of points"),
    "points.prove_months": N_("Prove the closed months of points"),
    "points.prove": N_("Prove the points books"),
    "points.release_due": N_("Release reserved points"),
    "points.unlock_due": N_("Unlock pending points"),
    "referrals.reward_due": N_("Reward invitations"),
    "risk.watch_claims": N_("Look at claims by device"),
    "risk.resolve_entries": N_("Hold whom the block list means"),
    "retention.forget": N_("Forget data past its time"),
    "screening.ask_due": N_("Ask WeChat about content that waits"),
    "rewards.time_out_due": N_("Cancel redemptions not collected"),
    "segments.build_due": N_("Build the lists of segments"),
    "segments.sweep": N_("Sweep old lists of segments"),
    "triggers.win_back": N_("Give coupons to members who stayed away"),
    "tiers.build_growth": N_("Work growth out"),
    "tiers.prove": N_("Prove the growth books"),
    "tiers.reassess_due": N_("Reassess tiers"),
}


def topic_words(topic: str) -> str:
    """Return what an event tells, in words."""
    return str(gettext(TOPICS.get(topic, topic)))


def thing_words(kind: str) -> str:
    """Return what an event is about, in words."""
    return str(gettext(THINGS.get(kind, kind)))


def job_words(job: str) -> str:
    """Return what a periodic job does, in words."""
    return str(gettext(JOBS.get(job, job)))
