"""Messages: asked for when news arrives, pushed in batches, and swept when a push never came back.

The calls to WeChat are made outside any transaction: claim and commit, call, settle and commit. Handlers only queue.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Self
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from config.locale import read_parts
from server.coupons import gift_queries
from server.coupons import queries as coupons
from server.feedback import queries as feedback
from server.kernel.errors import NotFoundError
from server.members import queries as members
from server.notifications import delivery, service
from server.notifications.coupon_templates import CouponGiftEnded, CouponRecalled
from server.notifications.reward_templates import RewardCancelled, RewardPlaced, RewardShipped
from server.notifications.rules import Outcome
from server.notifications.templates import CouponExpiring, OrderShipped, PointsAccrued, TicketAnswered
from server.orders import queries as orders
from server.points import queries as points
from server.rewards import queries as rewards
from server.wechat import troubles
from server.wechat.errors import WeChatMisconfiguredError, WeChatRejectedError, WeChatUnavailableError
from tasks.jobs import channels
from tasks.jobs.sweeps import in_batches

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from server.bootstrap import Core
    from server.kernel.outbox import Event
    from server.notifications.delivery import Claim

_log = structlog.get_logger("huiban.notifications")

# Claimed together, at most: the calls must all be over before their lease runs out, even at the gateway's slowest.
CLAIM_SIZE = 32
LANES = 2
# So long may the database be away after a call before what is known of it is lost; well within the lease.
SETTLE_SECONDS = 120.0
_SETTLE_PAUSE_SECONDS = 0.5
_CHECK_IN = "points/check-in:"
_NO_NUMBER = "-"


# --- News ---


def on_order_shipped(session: Session, event: Event, core: Core) -> None:
    """Tell the member that a parcel is on its way; each parcel once."""
    order = orders.find(session, UUID(event.payload["order_id"]))
    member_id = _recipient(session, order.member_id) if order is not None else None
    if order is None or member_id is None:
        return
    part = event.payload.get("part_id")
    parcels = [parcel for parcel in order.shipments if part is None or str(parcel.id) == part]
    parcel = parcels[-1] if parcels else None
    shipped_at = parcel.shipped_at if parcel else order.shipped_at or event.occurred_at
    message = OrderShipped(
        order.order_no,
        (parcel.carrier if parcel else "") or "物流公司",
        (parcel.tracking_no if parcel else "") or _NO_NUMBER,
        shipped_at,
    )
    service.request(
        session, member_id, message, key=f"order_shipped:{part or order.id}", now=core.clock.now(), occurred_at=event.occurred_at
    )


def on_points_accrued(session: Session, event: Event, core: Core) -> None:
    """Tell the member about points; not about the daily check-in, which they have just done themselves."""
    entry = points.find_entry(session, UUID(event.payload["entry_id"]))
    member_id = _recipient(session, UUID(event.payload["member_id"]))
    if entry is None or member_id is None or entry.points <= 0 or entry.source.startswith(_CHECK_IN):
        return
    message = PointsAccrued(entry.reason, entry.points, entry.available_after, entry.occurred_at)
    service.request(session, member_id, message, key=f"points_accrued:{entry.id}", now=core.clock.now(), occurred_at=event.occurred_at)


def on_ticket_answered(session: Session, event: Event, core: Core) -> None:
    """Tell the member that customer service answered."""
    ticket = feedback.find_by_id(session, UUID(event.payload["ticket_id"]))
    if ticket is None:
        return
    detail = feedback.detail(session, ticket.ticket_no)
    answers = [message for message in detail.messages if message.author_kind == "staff" and not message.internal]
    member_id = _recipient(session, ticket.member_id)
    if member_id is None or not answers:
        return
    answer = answers[-1]
    message = TicketAnswered(ticket.ticket_no, answer.content or "请查看客服回复", answer.created_at)
    # By the answer, not by the event: two events that both see the newest answer make one message.
    service.request(session, member_id, message, key=f"ticket_answered:{answer.id}", now=core.clock.now(), occurred_at=event.occurred_at)


def on_coupon_expiring(session: Session, event: Event, core: Core) -> None:
    """Remind the member of a coupon that ends soon, unless it was redeemed meanwhile."""
    now = core.clock.now()
    try:
        coupon = coupons.find(session, UUID(event.payload["coupon_id"]), now=now)
    except NotFoundError:
        return
    member_id = _recipient(session, coupon.member_id)
    if member_id is None or coupon.state != "issued":
        return
    message = CouponExpiring(coupon.name, coupon.valid_until)
    service.request(session, member_id, message, key=f"coupon_expiring:{coupon.id}", now=now, occurred_at=event.occurred_at)


def on_coupon_recalled(session: Session, event: Event, core: Core) -> None:
    """Tell the member that a coupon given by mistake was taken back."""
    now = core.clock.now()
    try:
        coupon = coupons.find(session, UUID(event.payload["coupon_id"]), now=now)
    except NotFoundError:
        return
    member_id = _recipient(session, coupon.member_id)
    if member_id is None or coupon.state != "voided":
        return
    message = CouponRecalled(coupon.name, event.occurred_at)
    service.request(session, member_id, message, key=f"coupon_recalled:{coupon.id}", now=now, occurred_at=event.occurred_at)


def on_coupon_gift_ended(session: Session, event: Event, core: Core) -> None:
    """Tell whoever gave a coupon away what became of it."""
    now = core.clock.now()
    try:
        gift = gift_queries.find(session, UUID(event.payload["gift_id"]), now=now)
    except NotFoundError:
        return
    member_id = _recipient(session, gift.from_member_id)
    outcome = CouponGiftEnded.OUTCOMES.get(gift.state)
    if member_id is None or outcome is None or gift.ended_at is None:
        return
    message = CouponGiftEnded(gift.coupon.name, outcome, gift.ended_at)
    service.request(session, member_id, message, key=f"coupon_gift_ended:{gift.id}", now=now, occurred_at=event.occurred_at)


def on_reward_placed(session: Session, event: Event, core: Core) -> None:
    """Tell the member what their points were redeemed for, unless it was cancelled meanwhile."""
    found, member_id = _redemption(session, event)
    if found is None or member_id is None or found.placed_at is None or found.state == "cancelled":
        return
    message = RewardPlaced(found.reward_name, found.redemption_no, found.points, found.placed_at)
    key = f"reward_placed:{found.id}"
    service.request(session, member_id, message, key=key, now=core.clock.now(), occurred_at=event.occurred_at)


def on_reward_shipped(session: Session, event: Event, core: Core) -> None:
    """Tell the member that the goods are on their way, unless they were taken back meanwhile."""
    found, member_id = _redemption(session, event)
    if found is None or member_id is None or found.fulfilled_at is None or found.state == "cancelled":
        return
    carrier, tracking_no = found.carrier or "物流公司", found.tracking_no or _NO_NUMBER
    message = RewardShipped(found.redemption_no, carrier, tracking_no, found.fulfilled_at)
    key = f"reward_shipped:{found.id}"
    service.request(session, member_id, message, key=key, now=core.clock.now(), occurred_at=event.occurred_at)


def on_reward_cancelled(session: Session, event: Event, core: Core) -> None:
    """Tell the member that a redemption is cancelled and the points are back."""
    found, member_id = _redemption(session, event)
    if found is None or member_id is None or found.cancelled_at is None:
        return
    message = RewardCancelled(found.reward_name, found.redemption_no, found.points, found.cancelled_at)
    key = f"reward_cancelled:{found.id}"
    service.request(session, member_id, message, key=key, now=core.clock.now(), occurred_at=event.occurred_at)


def _redemption(session: Session, event: Event) -> tuple[rewards.RedemptionView | None, UUID | None]:
    try:
        found = rewards.find(session, UUID(event.payload["redemption_id"]))
    except NotFoundError:
        return None, None
    return found, _recipient(session, found.member_id)


def _recipient(session: Session, member_id: UUID | None) -> UUID | None:
    """Return whom a member's news reaches now: the survivor of a merge, nobody when they are gone."""
    return members.resolve(session, member_id) if member_id is not None else None


# --- Sending ---


def deliver_batch(core: Core, ids: Sequence[UUID], *, threads: int = 1) -> int:
    """Send messages; those in other hands, not due or already sent are left alone.

    So many are claimed as can be called at once, and each claim is committed right before its calls: whenever the process dies, no more
    are ``sending`` than there were calls under way. While the calls of one lane wait for WeChat the other claims and settles.

    Arguments:
        core: of this process.
        ids: of messages.
        threads: calls made at the same time in each of the lanes.

    Returns:
        How many were sent.
    """
    waiting, sent = list(ids), 0
    while waiting and (gate := _gate(core)) is not Gate.OPEN:
        if gate is Gate.SHUT:
            # They stay queued and due; the job of the minute comes back to them. Other channels need not wait for WeChat.
            return sent + channels.deliver(core, waiting, in_chinese)
        sent += _lane(core, iter([waiting[:1]]), 1, threading.Event(), trying=True)
        waiting = waiting[1:]
    return sent + _in_lanes(core, waiting, threads)


def _in_lanes(core: Core, ids: Sequence[UUID], threads: int) -> int:
    size = min(threads, CLAIM_SIZE) if threads > 1 else CLAIM_SIZE
    chunks = [ids[start : start + size] for start in range(0, len(ids), size)]
    lanes = min(LANES, len(chunks)) if threads > 1 else 1
    if lanes <= 1:
        return _lane(core, iter(chunks), threads, threading.Event())
    waiting, stop = _Chunks(chunks), threading.Event()
    with ThreadPoolExecutor(lanes, "lane") as pool:
        try:
            return sum(pool.map(lambda _: _lane(core, waiting, threads, stop), range(lanes)))
        finally:
            # The job may be out of time: a lane finishes the calls it has begun, and begins no more.
            stop.set()


class _Chunks:
    """Hands the chunks out to the lanes, each once."""

    def __init__(self, chunks: Sequence[Sequence[UUID]]) -> None:
        self._chunks = iter(chunks)
        self._lock = threading.Lock()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Sequence[UUID]:
        with self._lock:
            return next(self._chunks)


def _lane(core: Core, chunks: Iterator[Sequence[UUID]], threads: int, stop: threading.Event, *, trying: bool = False) -> int:
    sent = 0
    with ThreadPoolExecutor(threads, "call") as pool:
        for chunk in chunks:
            if stop.is_set():
                break
            refused, calling = threading.Event(), {}
            if trying or _gate(core) is Gate.OPEN:
                calling = {pool.submit(_call_unless, refused, core, claimed): claimed for claimed in _claim(core, chunk)}
            while calling:
                # One call that hangs must not keep what is known of the others from being written down: a kill would make all uncertain.
                done, _ = wait(calling, timeout=_SETTLE_PAUSE_SECONDS)
                if done:
                    ended = [(calling.pop(call), call.result()) for call in done]
                    _settle(core, ended)
                    sent += sum(outcome.kind == "sent" for _, outcome in ended)
            # What went on to another channel just now, or waited there, whether WeChat takes messages or not.
            sent += channels.deliver(core, chunk, in_chinese)
    return sent


def _call_unless(refused: threading.Event, core: Core, claimed: Claim) -> Outcome:
    """Make a call, unless WeChat has refused all of us since they were claimed: then the rest is not even tried."""
    outcome = Outcome("not_done", "paused") if refused.is_set() else _timed(core, claimed)
    if outcome.kind == "misconfigured" or outcome.reason == "quota":
        refused.set()
    return outcome


class Gate(Enum):
    """Whether messages may be sent now: freely, one to try whether WeChat takes them again, or none."""

    OPEN = "open"
    TRYING = "trying"
    SHUT = "shut"


def _gate(core: Core) -> Gate:
    with core.db.reading() as session:
        until = troubles.pause_of(session, (troubles.SEND_ENDPOINT, troubles.TOKEN_ENDPOINT), appid=core.wechat.appid)
    if until is None:
        return Gate.OPEN
    return Gate.SHUT if core.clock.now() < until else Gate.TRYING


def _claim(core: Core, ids: Sequence[UUID]) -> list[Claim]:
    appid, now, lines = core.wechat.appid, core.clock.now(), core.lines
    return core.db.run(lambda session: delivery.claim(session, ids, appid=appid, now=now, say=in_chinese, lines=lines))


def _settle(core: Core, ended: list[tuple[Claim, Outcome]]) -> None:
    """Write down how calls ended, also when the database was away for a while.

    A failure for good leaves the messages ``sending``, and the sweep makes them uncertain: never a second call.
    """
    until = time.monotonic() + SETTLE_SECONDS
    while True:
        try:
            states = core.db.run(lambda session: delivery.settle_all(session, ended, now=core.clock.now(), lines=core.lines))
            break
        except DBAPIError as error:
            # A server that is away refuses the connection, which invalidates none; whatever else is operational passes too.
            if not isinstance(error, InterfaceError | OperationalError) or time.monotonic() > until:
                raise
            _log.warning("notification.settling_waits", messages=len(ended), error=type(error.orig).__name__)
            time.sleep(_SETTLE_PAUSE_SECONDS)
    for claimed, outcome in ended:
        if states.get(claimed.message_id) not in {"sent", "delivered"}:
            _log.info(
                "notification.not_sent", message_id=str(claimed.message_id), state=states.get(claimed.message_id), reason=outcome.reason
            )


def _timed(core: Core, claimed: Claim) -> Outcome:
    begun = time.perf_counter()
    outcome = _call(core, claimed)
    return replace(outcome, milliseconds=int((time.perf_counter() - begun) * 1000))


def _call(core: Core, claimed: Claim) -> Outcome:
    try:
        sent = core.wechat.send_subscribe_message(claimed.openid, claimed.wechat_template_id, claimed.data, claimed.page)
    except WeChatRejectedError as error:
        return Outcome("refused", f"rejected_{error.errcode}", errcode=error.errcode)
    except WeChatMisconfiguredError as error:
        return Outcome("misconfigured", "misconfigured", errcode=error.errcode)
    except WeChatUnavailableError as error:
        return Outcome("not_done" if error.certainly_not_done else "unknown", error.reason)
    except Exception as error:  # noqa: BLE001 - whatever broke, nobody knows how far the call came
        _log.warning("notification.call_broke", message_id=str(claimed.message_id), error=type(error).__name__)
        return Outcome("unknown", "broken")
    return Outcome("sent", msg_id=sent.msg_id)


def sweep(core: Core, period: datetime | None = None) -> int:  # noqa: ARG001 - the same whenever it runs
    """Mark as uncertain what was being sent when its process died, and apply receipts that came too early.

    Returns:
        How many messages changed.
    """
    expired = in_batches(core, lambda session, now, limit: delivery.expire(session, now=now, limit=limit))
    lines = core.lines
    late = in_batches(core, lambda session, now, limit: delivery.apply_late_receipts(session, now=now, limit=limit, lines=lines))
    return expired + late


@cache
def _catalogue() -> dict[str, str]:
    return {str(message.id): str(message.string) for message in read_parts() if message.id and isinstance(message.id, str)}


def in_chinese(text: str) -> str:
    """Return our own words in Chinese, the language of WeChat's messages; anybody else's words unchanged."""
    return _catalogue().get(text) or text
