"""The verbs that change coupons. Every one takes the session of the caller's transaction and never commits."""

from server.coupons.service.alarms import LimitNews, watch_limits
from server.coupons.service.code_batches import CodesFile, forget_seeds, make_batch, make_codes, open_file, stop_batch
from server.coupons.service.codes import CodeClaim, claim_by_code, forget_tries
from server.coupons.service.giving import Offer, accept, lapse_due, offer, refuse, withdraw
from server.coupons.service.issuing import IssueOutcome, claim, claimable_by_all, hold_templates, issue, issue_many
from server.coupons.service.lifecycle import forget_member, lock, merge_members, redeem, return_, unlock, void
from server.coupons.service.promising import QuotedOrder, lock_as_quoted, redeem_as_quoted
from server.coupons.service.quoting import claim_centre, quote, redeem_for_lines, redemption_quote
from server.coupons.service.redemptions import NO_STORE
from server.coupons.service.sweeping import expire_due, release_due, remind_expiring
from server.coupons.service.templates import create_template, pause, publish_template, update

__all__ = [
    "NO_STORE",
    "CodeClaim",
    "CodesFile",
    "IssueOutcome",
    "LimitNews",
    "Offer",
    "QuotedOrder",
    "accept",
    "claim",
    "claim_by_code",
    "claim_centre",
    "claimable_by_all",
    "create_template",
    "expire_due",
    "forget_member",
    "forget_seeds",
    "forget_tries",
    "hold_templates",
    "issue",
    "issue_many",
    "lapse_due",
    "lock",
    "lock_as_quoted",
    "make_batch",
    "make_codes",
    "merge_members",
    "offer",
    "open_file",
    "pause",
    "publish_template",
    "quote",
    "redeem",
    "redeem_as_quoted",
    "redeem_for_lines",
    "redemption_quote",
    "refuse",
    "release_due",
    "remind_expiring",
    "return_",
    "stop_batch",
    "unlock",
    "update",
    "void",
    "watch_limits",
    "withdraw",
]
