"""Faults of coupons for ``planted_faults``: each must turn a test red.

Where a constraint of the database stands behind a rule, the fault takes both away: the constraint alone would still hold.
"""

from __future__ import annotations

from tests.properties.faults import Fault

SERVICE = "server/coupons/service"
ISSUING, LIFECYCLE, STEPS = f"{SERVICE}/issuing.py", f"{SERVICE}/lifecycle.py", f"{SERVICE}/steps.py"
GIVING, CODES = f"{SERVICE}/giving.py", f"{SERVICE}/codes.py"
TABLES = "server/migrations/versions/0015_coupons.py"
SHOP, RACES = "tests/properties/test_shop.py", "tests/coupons/test_races.py"
LIVES, GIFTS, QUOTES = "tests/coupons/test_lifecycle.py", "tests/coupons/test_giving.py", "tests/properties/test_quotes.py"
NOTHING = "    sa.CheckConstraint('1 = 1', name='nothing'),"


def no_longer(line):
    return (TABLES, line, NOTHING)


STOCK = no_longer(
    "    sa.CheckConstraint('issued >= 0 AND (stock IS NULL OR issued <= stock)', name=op.f('ck_coupon_templates_within_stock')),"
)
SLOT = no_longer("    sa.UniqueConstraint('template_id', 'member_id', 'slot', name=op.f('uq_coupons_template_id_member_id_slot')),")
SOURCE = no_longer("    sa.UniqueConstraint('source_namespace', 'source_key', name=op.f('uq_coupons_source_namespace_source_key')),")
REFUND = no_longer("    sa.UniqueConstraint('coupon_id', 'refund_id', name=op.f('uq_coupon_transitions_coupon_id_refund_id')),")
CAS = (STEPS, "Coupon.id == row.id, Coupon.state == row.state, Coupon.version == row.version)", "Coupon.id == row.id)")
LOCK = (STEPS, ".where(Coupon.id == coupon_id).with_for_update().execution_options", ".where(Coupon.id == coupon_id).execution_options")

FAULTS = (
    Fault("stock is taken whether there is any or not", (SHOP, RACES), ((ISSUING, "sa.or_(of.stock.is_(None), of.issued < of.stock),", "of.id == of.id,"), STOCK), servers=True),
    Fault("the budget is not taken", (SHOP,), ((ISSUING, "(of.budget_committed_fen, of.budget_committed_fen + cost_fen)", "(of.budget_committed_fen, of.budget_committed_fen)"),)),
    Fault("a member's limit is counted once only, and no place is unique", (SHOP, RACES), ((ISSUING, "    if limits.per_member != 1 or limits.per_member_daily is not None:\n", "    if False:\n"), SLOT), servers=True),
    Fault("a coupon is neither locked nor compared before it moves", (SHOP, RACES), (LOCK, CAS), servers=True),
    Fault("a source may give twice", (RACES, SHOP), ((ISSUING, "    if replayed is not None:\n        return _same(replayed, member_id, template_id, now)\n    template = _template", "    template = _template"), SOURCE), servers=True),
    Fault("a refund returns a coupon again and again", (LIVES,), ((LIFECYCLE, "    if done is not None:\n        return coupon_view(row, now)\n    until", "    until"), REFUND)),
    Fault("a coupon of another order is redeemed all the same", (LIVES, SHOP), ((LIFECYCLE, "    if row.state != CouponState.ISSUED:\n        raise CouponNotAvailableError(state=row.state)\n    if row.valid_until", "    if row.valid_until"),)),
    Fault("voiding keeps the budget", (SHOP, LIVES), ((LIFECYCLE, '    move(session, row, "void", actor=actor, now=now, reason=reason)\n    release_budget(session, row.template_id, row.committed_fen)\n', '    move(session, row, "void", actor=actor, now=now, reason=reason)\n'),)),
    Fault("what was given away stays with the giver", (GIFTS, SHOP), (("server/coupons/rules/states.py", '"give": (frozenset({CouponState.OFFERED}), CouponState.GIVEN)', '"give": (frozenset({CouponState.OFFERED}), CouponState.ISSUED)'),)),
    Fault("an offer is accepted by everybody", (GIFTS, SHOP), ((GIVING, "    if gift.state != GiftState.OPEN:\n        raise GiftEndedError(state=gift.state)\n", ""),)),
    Fault("the giver's and the friend's both hold the budget", (SHOP,), ((GIVING, 'changes={"committed_fen": 0}', "changes={}"), (GIVING, '"committed_fen": row.committed_fen,', '"committed_fen": 2 * row.committed_fen,'))),
    Fault("friends collect without limit", (GIFTS, SHOP), ((GIVING, "    if len(held) >= per_member:\n        raise ClaimLimitReachedError\n", ""),)),
    Fault("a code counts no claim", (SHOP,), ((CODES, ".values(claimed=of.claimed + 1)", ".values(claimed=of.claimed)"),)),
    Fault("two coupons of one group go together", (QUOTES,), (("server/coupons/rules/quote.py", "mine.exclusion_group != theirs.exclusion_group and ", ""),)),
    Fault("a percentage is rounded up", (QUOTES,), (("server/coupons/rules/quote.py", "* terms.percent_off // 100", "* terms.percent_off // 100 + 1"),)),
)  # fmt: skip
