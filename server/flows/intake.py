"""Orders with everything they set going, in one transaction: intake, events, then points and coupons settled from the order's facts.

``settle`` may run any number of times and after every change: it compares what the facts ask for with what was done and does the rest,
so the end does not depend on the order in which news came. Coupon and points problems become exceptions of the order.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from server.coupons import service as coupons
from server.coupons.errors import CouponNotApplicableError
from server.coupons.queries import CouponView
from server.coupons.rules.terms import Kind as CouponKind
from server.kernel.amounts import Points
from server.kernel.clock import business_date
from server.kernel.db import zone_of
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.kernel.text import N_
from server.orders import late, pending, rules
from server.orders import queries as orders
from server.orders import service as orders_service
from server.orders.drafts import OrderDraft, OrderEvent
from server.orders.errors import OrderNotFoundError
from server.points import caps as points_caps
from server.points import queries as points
from server.points import rules as points_rules
from server.points import service as points_service
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from server.kernel.actors import Actor

NAMESPACE = "orders"
EARNED = N_("Points for your order")
TAKEN_BACK = N_("Points of refunded goods")
CALLED_OFF = N_("Points of a cancelled order")
REDEEMED = N_("Points used for an order")
RETURNED = N_("Points of a refunded order returned")


def take_in_order(session: Session, draft: OrderDraft, *, actor: Actor, now: datetime) -> orders_service.Taken:
    """Take in a sale, redeem the coupons and points it names, and give the points it earns.

    Arguments:
        session: of the edge's transaction.
        draft: the sale.
        actor: who reports it.
        now: present instant.

    Returns:
        The order; the same one, and nothing done again, when the same content comes again.

    Raises:
        OrderInvalidError: the values can be no sale at all.
        OrderConflictError: the number was taken in with other content.
    """
    taken = orders_service.take_in(session, draft, actor=actor, now=now)
    if not taken.created:
        return taken
    orders_service.hold(session, taken.order_id)
    _redeem_coupons(session, taken.order_id, actor=actor, now=now)
    _redeem_points(session, taken.order_id, actor=actor, now=now)
    settle(session, taken.order_id, actor=actor, now=now)
    state = apply_pending(session, draft.channel, draft.external_no, now=now) or taken.state
    return orders_service.Taken(taken.order_id, taken.order_no, state, orders.open_rules(session, taken.order_id))


def record_event(
    session: Session, channel: str, external_no: str, event: OrderEvent, *, actor: Actor, now: datetime
) -> orders_service.Recorded:
    """Write down something that happened to an order and settle what follows from it.

    Raises:
        OrderNotFoundError: no such order.
        OrderInvalidError: the event cannot have happened.
        EventConflictError: its id stands for other content.
    """
    recorded = orders_service.record_event(session, channel, external_no, event, actor=actor, now=now)
    if recorded.created:
        settle(session, recorded.order_id, actor=actor, now=now)
    return orders_service.Recorded(
        recorded.order_id, recorded.order_no, recorded.state, orders.open_rules(session, recorded.order_id), recorded.created
    )


def report_event(
    session: Session, channel: str, external_no: str, event: OrderEvent, *, actor: Actor, now: datetime
) -> tuple[orders_service.Recorded | None, bool]:
    """Write down something that happened to an order; when the order is not with us yet, keep it until it comes.

    Returns:
        What was recorded, None while the event waits; and whether it is new.

    Raises:
        OrderInvalidError: the event cannot have happened.
        EventConflictError: its id stands for other content.
    """
    try:
        recorded = record_event(session, channel, external_no, event, actor=actor, now=now)
    except OrderNotFoundError:
        return None, pending.park(session, channel, external_no, event, actor=actor, now=now)
    return recorded, recorded.created


def apply_pending(session: Session, channel: str, external_no: str, *, now: datetime) -> str | None:
    """Record the events that waited for an order; one that the order refuses becomes an exception, since nobody waits for the answer.

    Returns:
        The order's state afterwards, None when nothing waited.
    """
    state = None
    # The order's row first: two who find the same events waiting do not both take them.
    order_id = orders_service.hold_named(session, channel, external_no)
    for waiting in pending.take(session, channel, external_no):
        try:
            with session.begin_nested():
                state = record_event(session, channel, external_no, waiting.event, actor=waiting.actor, now=now).state
        except DomainError as refusal:
            detail: dict[str, object] = {"kind": waiting.event.kind, "code": refusal.code}
            orders_service.note_findings(session, order_id, [rules.Finding("event_refused", detail, key=waiting.event.event_id)], now)
    return state


def apply_overtaken(session: Session, now: datetime, limit: int = 200) -> int:
    """Record events that were written at the same moment as their order, so that neither saw the other; return for how many orders."""
    found = pending.overtaken(session, limit)
    for channel, external_no in found:
        apply_pending(session, channel, external_no, now=now)
    return len(found)


def settle(session: Session, order_id: UUID, *, actor: Actor, now: datetime) -> None:
    """Bring an order's points and coupons to what its facts ask for. The caller's transaction holds the order's row.

    Arguments:
        session: of the edge's transaction.
        order_id: which order.
        actor: whose report set it going.
        now: present instant.
    """
    order = orders.settlement(session, order_id)
    if order.member_id is None:
        return
    if rules.earns(order.facts) and not order.points_worked_out:
        _earn(session, order, actor=actor, now=now)
        order = orders.settlement(session, order_id)
    if order.points_worked_out:
        _take_back(session, order, actor=actor, now=now)
        _move_availability(session, order, now=now)
    if order.facts.cancelled_at is not None or order.facts.refunded_whole:
        _return_coupons(session, order, actor=actor, now=now)
        _return_points(session, order, actor=actor, now=now)


def source_of(order: orders.Settlement, kind: str, *more: str) -> Source:
    """Return the source of a points entry about an order (``order:{channel}:{external_no}``)."""
    return Source(NAMESPACE, rules.source_key(kind, order.channel, order.external_no, *more))


def earning_source(order: orders.Settlement) -> Source:
    """Return the source of what an order earns; one that was given to its buyer later may have earned for another record before."""
    return source_of(order, "order" if order.attached_at is None else "order-attached")


def _redeem_coupons(session: Session, order_id: UUID, *, actor: Actor, now: datetime) -> None:
    order = orders.settlement(session, order_id)
    gift: CouponView | None = None
    for coupon_id, state in order.coupons:
        if state != "named":
            continue
        outcome, code = "redeemed", ""
        if order.member_id is None:
            outcome, code = "refused", "member_unknown"
        else:
            try:
                with session.begin_nested():
                    redeemed = coupons.redeem(
                        session,
                        coupon_id,
                        channel=order.channel,
                        external_no=order.external_no,
                        discount_fen=None,
                        sales_fen=order.payable_fen,
                        store=order.store or coupons.NO_STORE,
                        member_id=order.member_id,
                        actor=actor,
                        now=now,
                    )
                    if redeemed.terms.kind is CouponKind.GIFT:
                        if gift is not None:
                            raise CouponNotApplicableError(reason="one_gift")
                        gift = redeemed
            except DomainError as refusal:
                outcome, code = "refused", refusal.code
        orders_service.note_coupon(session, order_id, coupon_id, outcome)
        if outcome == "refused":
            finding = rules.Finding("coupon_refused", {"coupon_id": str(coupon_id), "code": code}, key=str(coupon_id))
            orders_service.note_findings(session, order_id, [finding], now)
    if gift is not None:
        _check_gift(session, order, gift, now=now)


def _check_gift(session: Session, order: orders.Settlement, gift: CouponView, *, now: datetime) -> None:
    """Note when the sale does not give what its coupon promises: a gift is a line of that product that nothing was paid for."""
    promised = gift.terms
    given = sum(line.quantity for line in order.lines if line.sku == promised.gift_sku and line.amount_fen == 0)
    if given != promised.gift_quantity:
        facts = {"coupon_id": str(gift.id), "sku": promised.gift_sku, "promised": promised.gift_quantity, "given": given}
        orders_service.note_findings(session, order.id, [rules.Finding("gift_not_as_promised", facts, key=str(gift.id))], now)


def _redeem_points(session: Session, order_id: UUID, *, actor: Actor, now: datetime) -> None:
    order = orders.settlement(session, order_id)
    if not order.points_redeemed:
        return
    code = "member_unknown"
    if order.member_id is not None:
        try:
            with session.begin_nested():
                points_service.redeem(
                    session,
                    order.member_id,
                    Points(order.points_redeemed),
                    source=source_of(order, "order", "points"),
                    reason=REDEEMED,
                    actor=actor,
                    now=now,
                )
        except DomainError as refusal:
            code = refusal.code
        else:
            return
    finding = rules.Finding("points_refused", {"points": order.points_redeemed, "code": code})
    orders_service.note_findings(session, order_id, [finding], now)


def _earn(session: Session, order: orders.Settlement, *, actor: Actor, now: datetime) -> None:
    assert order.member_id is not None  # noqa: S101 - settle looks
    # What is told, or attached, late earns by what held at the sale, so that the order of telling changes nothing.
    as_of = late.earns_as_of(captured_at=order.captured_at, attached_at=order.attached_at, paid_at=order.facts.paid_at, now=now)
    zone = zone_of(session)
    book = points.rulebook(session, as_of=as_of)
    # Under the account's lock no other accrual slips in between the caps and ours.
    given = points_caps.hold(session, order.member_id, book, day=business_date(as_of or now, zone), now=now)
    tier = tiers.of_member(session, order.member_id) if as_of is None else tiers.held_at(session, order.member_id, as_of)
    # The sale's own instant decides which windows and member days hold, however late it is told.
    sold_at = as_of or order.facts.paid_at or now
    context = points_rules.EarningContext(
        lines=[points_rules.EarningLine(line.line_no, line.sku, line.category, line.paid_fen) for line in order.lines],
        rules=book.at(sold_at),
        multiplier_percent=tier.points_multiplier_percent,
        tier=tier.code,
        store=order.store,
        channel=order.channel,
        day=business_date(sold_at, zone),
        given=given,
    )
    earned = points_rules.order_points(context)
    entry_id = None
    if earned.total:
        entry = points_service.accrue(
            session,
            order.member_id,
            Points(earned.total),
            source=earning_source(order),
            reason=EARNED,
            actor=actor,
            now=now,
            available_at=_available_at(order),
            rule=earned.rule,
            details={**earned.details, "order_no": order.order_no},
            as_of=as_of,
        )
        entry_id = entry.id
        points_caps.note(session, order.member_id, book, earned.by_rule)
    by_line = {line.line_no: count for line, count in zip(order.lines, earned.by_line, strict=True)}
    trace = None if earned.total else earned.details
    orders_service.note_points_earned(session, order.id, entry_id, earned.total, by_line, trace)


def _available_at(order: orders.Settlement) -> datetime | None:
    return rules.points_available_at(order.facts, immediate=order.immediate, exceptions_open=order.exceptions_open)


def _take_back(session: Session, order: orders.Settlement, *, actor: Actor, now: datetime) -> None:
    taken = order.points_taken_back
    money = orders.money_of(order.lines)
    counted: list[rules.Refund] = [refund.plain for refund in order.refunds if refund.taken_back is not None]
    for refund in order.refunds:
        if refund.taken_back is not None:
            continue
        before = rules.refunded(counted, money, order.payable_fen)
        counted.append(refund.plain)
        so_far = rules.refunded(counted, money, order.payable_fen)
        target = sum(points_rules.points_taken_back(line.points, line.paid_fen, so_far.by_line[line.line_no]) for line in order.lines)
        more = max(target - taken, 0)
        if more and order.points_entry_id is not None:
            source = source_of(order, "refund", refund.refund_id)
            why = _lines_refunded(order, before.by_line, so_far.by_line)
            _reverse(session, order, more, source, TAKEN_BACK, why=why, actor=actor, now=now)
        orders_service.note_refund_settled(session, refund.id, more)
        taken += more
    if order.facts.cancelled_at is not None and order.points_entry_id is not None and taken < order.points_earned:
        _reverse(session, order, order.points_earned - taken, source_of(order, "cancellation"), CALLED_OFF, actor=actor, now=now)


def _lines_refunded(order: orders.Settlement, before: Mapping[int, int], now_fen: Mapping[int, int]) -> list[dict[str, int]]:
    """Return the trace of a refund: of each line that it takes points of, how much is refunded by now and what that takes."""
    why = []
    for line in order.lines:
        taken = [points_rules.points_taken_back(line.points, line.paid_fen, refunded[line.line_no]) for refunded in (before, now_fen)]
        if taken[1] > taken[0]:
            facts = {"refunded_fen": now_fen[line.line_no], "paid_fen": line.paid_fen, "earned": line.points}
            why.append({"refund_line": line.line_no, **facts, "points": taken[1] - taken[0]})
    return why


def _reverse(
    session: Session,
    order: orders.Settlement,
    count: int,
    source: Source,
    reason: str,
    *,
    why: list[dict[str, int]] | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    assert order.member_id is not None  # noqa: S101 - settle looks
    assert order.points_entry_id is not None  # noqa: S101 - the callers look
    # Staff may have taken some of it back by hand; a refund that happened is never refused for it.
    points_service.open_account(session, order.member_id, now=now)
    count = min(count, points.left_of_entry(session, order.points_entry_id))
    if count:
        details = {"why": why, "order_no": order.order_no} if why else {"order_no": order.order_no}
        points_service.reverse(
            session, order.points_entry_id, Points(count), source=source, reason=reason, actor=actor, now=now, details=details
        )
        orders_service.note_points_taken_back(session, order.id, count)


def _move_availability(session: Session, order: orders.Settlement, *, now: datetime) -> None:
    available_at = _available_at(order)
    if order.points_entry_id is not None and available_at is not None:
        points_service.unlock_source(session, earning_source(order), now=now, available_at=available_at)


def _return_coupons(session: Session, order: orders.Settlement, *, actor: Actor, now: datetime) -> None:
    for coupon_id, state in order.coupons:
        if state != "redeemed":
            continue
        outcome = "returned"
        try:
            with session.begin_nested():
                coupons.return_(session, coupon_id, refund_id=order.order_no, actor=actor, now=now)
        except DomainError as refusal:
            outcome = "refused"
            finding = rules.Finding("coupon_not_returned", {"coupon_id": str(coupon_id), "code": refusal.code}, key=str(coupon_id))
            orders_service.note_findings(session, order.id, [finding], now)
        orders_service.note_coupon(session, order.id, coupon_id, outcome)


def _return_points(session: Session, order: orders.Settlement, *, actor: Actor, now: datetime) -> None:
    if order.member_id is None or not order.points_redeemed:
        return
    redemption = source_of(order, "order", "points")
    points_service.open_account(session, order.member_id, now=now)
    entry_id = points.entry_of_source(session, redemption)
    if entry_id is None or not points.left_of_entry(session, entry_id):
        return
    points_service.return_redemption(
        session, redemption, None, source=source_of(order, "points-return"), reason=RETURNED, actor=actor, now=now
    )
