"""The verbs that change coupons. Every one takes the session of the caller's transaction and never commits."""

from server.coupons.service.issuing import IssueOutcome, claim, issue, issue_many
from server.coupons.service.lifecycle import lock, merge_members, redeem, return_, unlock, void
from server.coupons.service.quoting import claim_centre, quote, redeem_for_lines, redemption_quote
from server.coupons.service.sweeping import expire_due, release_due, remind_expiring
from server.coupons.service.templates import create_template, pause, publish_template, update

__all__ = [
    "IssueOutcome",
    "claim",
    "claim_centre",
    "create_template",
    "expire_due",
    "issue",
    "issue_many",
    "lock",
    "merge_members",
    "pause",
    "publish_template",
    "quote",
    "redeem",
    "redeem_for_lines",
    "redemption_quote",
    "release_due",
    "remind_expiring",
    "return_",
    "unlock",
    "update",
    "void",
]
