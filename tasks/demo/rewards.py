"""Rewards of the demonstration: a catalogue of every kind with pictures drawn here, and redemptions in every state."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING
from uuid import UUID

from PIL import Image, ImageDraw

from server.coupons import queries as coupons
from server.files import service as files
from server.files.rules import Purpose
from server.kernel.actors import MemberActor
from server.kernel.errors import DomainError
from server.kernel.source import Source
from server.rewards import queries, service
from server.rewards.rules.paying import PaymentPolicy
from server.rewards.rules.states import RedemptionState
from server.rewards.rules.terms import Kind, RewardDraft

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from server.rewards.queries import RedemptionView
    from tasks.demo import DemoContext

_HISTORY_DAYS = 20
_SIDE = 480
_TRIED = 36
_COUPON = "free-shipping"
_HOMES = (
    service.ReceiverDraft("王小明", "13800138001", "上海市静安区南京西路 188 号"),
    service.ReceiverDraft("李佳", "13800138002", "杭州市西湖区文三路 90 号"),
    service.ReceiverDraft("陈思远", "13800138003", "苏州市姑苏区平江路 12 号"),
)
# What becomes of a redemption, in turn.
_STORIES = ("wait", "fulfil", "fulfil", "cancel", "fulfil", "wait")
_REASON = "会员致电取消"


def _drafts(demo: DemoContext, coupon_id: UUID | None) -> list[tuple[RewardDraft, str, str]]:
    """Return the catalogue: draft, colour and shape of its picture."""
    found = [
        (
            RewardDraft("thermos", Kind.GOODS, "316 不锈钢保温杯", 160, stock=60, per_member=2, description="500 毫升，颜色随机。"),
            "#2F6FED",
            "cup",
        ),
        (
            RewardDraft(
                "tea-gift", Kind.GOODS, "明前龙井礼盒", 60, cash_fen=3900, stock=40, daily_stock=8, description="积分加现金，顺丰包邮。"
            ),
            "#1E9E63",
            "box",
        ),
        (RewardDraft("tote", Kind.GOODS, "会员帆布袋", 120, stock=8, per_member=1, description="数量有限，兑完即止。"), "#E08A1E", "bag"),
        (
            RewardDraft("tea-tasting", Kind.SERVICE, "门店品茶体验", 80, voucher_days=30, per_member_daily=1, description="凭码到店核销。"),
            "#7B4FD6",
            "cup",
        ),
        (
            RewardDraft(
                "gold-spa",
                Kind.SERVICE,
                "金卡茶室包间 2 小时",
                180,
                tiers=("gold", "black"),
                voucher_days=60,
                description="金卡及以上专享。",
            ),
            "#B8860B",
            "box",
        ),
        (
            RewardDraft(
                "spring-set", Kind.GOODS, "春日茶具套装", 100, on_sale_until=demo.now - timedelta(hours=3), description="活动已结束。"
            ),
            "#C2405B",
            "cup",
        ),
    ]
    if coupon_id is not None:
        draft = RewardDraft("ship-free", Kind.COUPON, "满59元包邮券", 30, coupon_template_id=coupon_id, stock=500, daily_stock=50)
        found.append((draft, "#D8453B", "ticket"))
    return found


def load(session: Session, demo: DemoContext) -> None:
    """Write the catalogue and the policy of paying with points, and let members redeem; again it adds nothing."""
    began = demo.now - timedelta(days=_HISTORY_DAYS + 5)
    service.set_payment_policy(session, PaymentPolicy(points_per_yuan=100, max_percent=50, max_points=10_000), actor=demo.actor, now=began)
    template = coupons.template_by_code(session, _COUPON)
    for draft, colour, shape in _drafts(demo, template.id if template is not None else None):
        if queries.reward_by_code(session, draft.code) is None:
            reward_id = _write(session, demo, draft, (colour, shape), began)
            _redeem_some(session, demo, reward_id, draft)
    service.time_out_due(session, demo.now)


def _write(session: Session, demo: DemoContext, draft: RewardDraft, look: tuple[str, str], at: datetime) -> UUID:
    picture = files.store_upload(
        session,
        demo.core.files,
        owner_member_id=None,
        purpose=Purpose.REPLY,
        data=_picture(*look),
        content_type="image/png",
        now=at,
    )
    reward_id = service.create_reward(session, replace(draft, picture_id=picture.id), actor=demo.actor, now=at)
    service.publish_reward(session, reward_id, actor=demo.actor, now=at)
    return reward_id


def _redeem_some(session: Session, demo: DemoContext, reward_id: UUID, draft: RewardDraft) -> None:
    chosen = demo.rng.sample(demo.members, min(len(demo.members), _TRIED))
    last = min(demo.now, draft.on_sale_until or demo.now)
    for number, member_id in enumerate(chosen):
        story = _STORIES[number % len(_STORIES)]
        # Who has yet to pay redeemed a moment ago, or the time to pay would be over.
        ago = timedelta(minutes=1 + number % 20 if story == "wait" else demo.rng.randrange(1, 60 * 20))
        at = last - (ago if draft.on_sale_until is None else timedelta(minutes=1 + number))
        try:
            with session.begin_nested():
                made = service.redeem(
                    session, member_id, reward_id, receiver=_HOMES[number % len(_HOMES)], actor=MemberActor(member_id), now=at
                )
                _go_on(session, demo, made, story, at)
        except DomainError:  # too few points, another tier, the day's stock: then not
            continue


def _go_on(session: Session, demo: DemoContext, made: RedemptionView, story: str, at: datetime) -> None:
    later = min(demo.now, at + timedelta(minutes=20))
    if made.state == RedemptionState.RESERVED and story != "wait":
        made = service.pay(
            session, made.id, source=Source("demo", f"pay:{made.id.hex}"), paid_fen=made.cash_fen, actor=demo.actor, now=later
        )
    if made.state != RedemptionState.PLACED:
        return
    if story == "cancel":
        service.cancel(session, made.id, reason=_REASON, actor=demo.actor, now=later)
    elif story == "fulfil" and made.kind == Kind.GOODS:
        number = f"SF{demo.rng.randrange(10**12, 10**13)}"
        service.ship(session, made.id, carrier="顺丰速运", tracking_no=number, actor=demo.actor, now=later)
    elif story == "fulfil":
        service.hand_over(session, made.id, store="S001", actor=demo.actor, now=later)


def _picture(colour: str, shape: str) -> bytes:
    """Return a plain picture of a thing on a coloured ground."""
    image = Image.new("RGB", (_SIDE, _SIDE), colour)
    draw = ImageDraw.Draw(image)
    draw.ellipse((60, 60, 420, 420), fill="#FFFFFF")
    if shape == "cup":
        draw.rounded_rectangle((170, 130, 310, 360), 28, fill=colour)
        draw.rounded_rectangle((185, 105, 295, 135), 10, fill="#333333")
    elif shape == "box":
        draw.rectangle((140, 190, 340, 350), fill=colour)
        draw.rectangle((125, 155, 355, 195), fill=colour, outline="#FFFFFF", width=4)
        draw.rectangle((225, 155, 255, 350), fill="#FFFFFF")
    elif shape == "bag":
        draw.polygon(((150, 190), (330, 190), (350, 370), (130, 370)), fill=colour)
        draw.arc((185, 110, 295, 260), 180, 360, fill=colour, width=14)
    else:
        draw.rounded_rectangle((110, 180, 370, 310), 18, fill=colour)
        draw.line(((290, 185), (290, 305)), fill="#FFFFFF", width=5)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()
