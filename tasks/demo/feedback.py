"""Tickets of the demonstration: real shop reviews, as members' tickets of the last thirty days in every state."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from PIL import Image, ImageDraw

from server.feedback import desk_queries, desk_service, service
from server.feedback.desk_queries import QueueFilter
from server.feedback.rules import Category, guess_category
from server.files import service as files
from server.kernel.actors import MemberActor, StaffActor
from server.kernel.pagination import PageRequest
from server.members import queries as members
from server.orders import queries as orders

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

REVIEWS = Path(__file__).parents[2] / "examples" / "reviews_sample.csv"
_DAYS = 30
_OPENING_HOUR = 8

CANNED = (
    ("致歉并补发", "logistics", "{name}您好，非常抱歉给您带来不便，已为您安排补发，新的快递单号会在发货后通知您。工单号 {ticket_no}。"),
    ("催促承运商", "logistics", "{name}您好，订单 {order_no} 已向承运商加急催件，预计 24 小时内更新物流，我们会持续跟进。"),
    ("请补充照片", "product", "{name}您好，为了尽快核实，请补充商品外观与外箱的照片，我们收到后第一时间处理。"),
    ("退换货指引", "product", "{name}您好，您可以在小程序“订单-申请售后”提交退换货，运费由我们承担。"),
    ("价保说明", "payment", "{name}您好，签收后 7 天内降价可申请差额退回，已为您登记，差额将原路退回。"),
    ("发票补开", "payment", "{name}您好，电子发票已重新开具，请在订单详情页下载。"),
    ("服务致歉", "service", "{name}您好，对服务中的不周到深表歉意，已反馈至当班负责人并安排改进。"),
    ("感谢表扬", "praise", "{name}您好，感谢您的认可！已将您的表扬转达给同事，期待再次为您服务。"),
    ("采纳建议", "suggestion", "{name}您好，感谢您的建议，已转交产品与运营同事评估。"),
)
_ANSWERS = {
    Category.LOGISTICS: ("非常抱歉让您久等，已联系承运商加急，预计明天送达。", "已核实为配送站延误，为您补偿 10 元优惠券，请在券包查收。"),
    Category.PRODUCT: ("非常抱歉，已为您登记换货，快递员将上门取件，运费由我们承担。", "感谢反馈，已转质检核查，今天内给您答复。"),
    Category.SERVICE: ("对服务中的不周到深表歉意，已与当班同事核实并安排培训。", "您反映的情况已核实，客服主管会在今天内与您联系。"),
    Category.PAYMENT: ("已为您登记价格保护，差额将在 1–3 个工作日原路退回。", "发票已重新开具，请在订单详情页下载。"),
    Category.SUGGESTION: ("感谢您的建议，已转交商品部评估。",),
    Category.PRAISE: ("感谢您的认可，已转达给配送与仓库的同事。",),
    Category.OTHER: ("您好，已收到您的反馈，我们会尽快核实处理。", "感谢反馈，您说的情况已记录并转相关同事改进。"),
}
_FOLLOW_UPS = ("好的，谢谢。", "请尽快处理，谢谢。", "已经收到补发，谢谢客服。", "还没有收到，麻烦再催一下。")
_NOTES = (
    "已致电承运商站点，答复今日派送。",
    "核对出库录像，外箱完好，疑似运输破损。",
    "老会员，优先处理。",
    "与仓库确认库存充足，可补发。",
)
_COMMENTS = {5: "处理很快，满意", 4: "态度不错，就是等得久了点", 3: "一般吧", 2: "来回沟通太多次", 1: "问题没有解决"}


@dataclass(frozen=True, slots=True)
class _Review:
    text: str
    happy: bool


@dataclass(slots=True)
class _Story:
    """One ticket's way: how far it goes, and the instant its next step happens, never after now."""

    goal: str
    at: datetime
    now: datetime

    def later(self, hours: float) -> datetime:
        self.at = min(self.at + timedelta(hours=hours), self.now)
        return self.at


def load(session: Session, demo: DemoContext) -> None:
    """Open the tickets, unless there are any; needs members, staff and orders that were loaded before."""
    desk = [
        StaffActor(demo.facts[f"staff.{role}"], name)
        for role, name in (("service", "周子涵"), ("operations", "林晓雯"))
        if f"staff.{role}" in demo.facts
    ]
    if not demo.members or not desk or desk_queries.queue(session, QueueFilter(), PageRequest(limit=1)).items:
        return
    for title, category, content in CANNED:
        desk_service.add_canned_reply(session, title=title, content=content, category=category, actor=demo.actor, now=demo.now)
    with REVIEWS.open(encoding="utf-8", newline="") as file:
        reviews = [_Review(row["text"], row["sentiment"] == "pos") for row in csv.DictReader(file)]
    demo.rng.shuffle(reviews)
    for place, review in enumerate(reviews):
        _tell(session, demo, desk, review, age_days=_DAYS * (place / len(reviews)) ** 1.5)


def _tell(session: Session, demo: DemoContext, desk: list[StaffActor], review: _Review, *, age_days: float) -> None:
    opened = _in_the_day(demo, demo.now - timedelta(days=age_days, minutes=demo.rng.randrange(5, 90)))
    member_id = _member(session, demo, opened)
    member = MemberActor(member_id)
    category = Category.PRAISE if review.happy and demo.rng.random() < 0.7 else guess_category(review.text)  # noqa: PLR2004 - shares of a story
    agent = demo.rng.choice(desk)
    story = _Story(_goal(demo, age_days), opened, demo.now)
    ticket = service.open_ticket(
        session,
        member_id,
        category=category,
        content=review.text,
        order_no=_order(session, demo, member_id, opened),
        upload_ids=_photos(session, demo, member_id, opened, category) if not review.happy else (),
        actor=member,
        now=opened,
    )
    number = ticket.ticket_no
    if story.goal == "open":
        return
    service.assign(session, number, agent.staff_id, actor=agent, now=story.later(demo.rng.uniform(0.1, 3)))
    if story.goal == "assigned":
        return
    service.start_work(session, number, actor=agent, now=story.later(demo.rng.uniform(0.1, 2)))
    if demo.rng.random() < 0.4:  # noqa: PLR2004 - as above
        service.reply(session, number, demo.rng.choice(_NOTES), internal=True, actor=agent, now=story.later(0.2))
    if story.goal == "working":
        return
    # One in six is answered late, so that the figures show what a breach looks like.
    wait = demo.rng.uniform(14, 40) if demo.rng.random() < 1 / 6 else demo.rng.uniform(0.2, 8)
    service.reply(session, number, demo.rng.choice(_ANSWERS[category]), actor=agent, now=story.later(wait))
    if demo.rng.random() < 0.35:  # noqa: PLR2004 - as above
        service.reply(session, number, demo.rng.choice(_FOLLOW_UPS), actor=member, now=story.later(demo.rng.uniform(0.5, 10)))
        service.reply(session, number, "好的，我们会继续跟进，有进展随时通知您。", actor=agent, now=story.later(demo.rng.uniform(0.2, 4)))
    if story.goal in {"closed", "reopened"}:
        service.close(session, number, actor=agent, now=story.later(demo.rng.uniform(2, 30)))
    if demo.rng.random() < 0.65:  # noqa: PLR2004 - as above
        score = 5 if review.happy else demo.rng.choice((5, 5, 4, 4, 4, 3, 2, 1))
        comment = _COMMENTS[score] if demo.rng.random() < 0.6 else None  # noqa: PLR2004 - as above
        service.rate(session, number, score, comment, actor=member, now=story.later(1))
    if story.goal == "reopened":
        service.reopen(session, number, content="问题还没有解决，请继续处理。", actor=member, now=story.later(demo.rng.uniform(1, 20)))


def _goal(demo: DemoContext, age_days: float) -> str:
    """Return how far a ticket of this age has come: old ones are closed, fresh ones wait."""
    if age_days > 8:  # noqa: PLR2004 - days of a story
        ways: tuple[str, ...] = ("closed",) * 17 + ("answered", "answered", "reopened")
    elif age_days > 2:  # noqa: PLR2004 - as above
        ways = ("closed",) * 5 + ("answered",) * 3 + ("working", "reopened")
    elif age_days > 0.6:  # noqa: PLR2004 - as above
        ways = ("answered",) * 4 + ("working",) * 3 + ("assigned", "assigned", "open")
    else:
        ways = ("open",) * 5 + ("assigned", "assigned", "working", "answered")
    return demo.rng.choice(ways)


def _in_the_day(demo: DemoContext, instant: datetime) -> datetime:
    """Move an instant of the night to the evening before: people write when they are awake."""
    local = instant.astimezone(demo.core.settings.zone)
    return instant - timedelta(hours=local.hour + 2) if local.hour < _OPENING_HOUR else instant


def _member(session: Session, demo: DemoContext, opened: datetime) -> UUID:
    """Return somebody who was a member by then; the very first, if nobody is found in a few tries."""
    for member_id in demo.rng.sample(demo.members, min(12, len(demo.members))):
        found = members.find(session, member_id)
        if found is not None and found.status == "active" and found.joined_at < opened:
            return member_id
    return demo.members[0]


def _order(session: Session, demo: DemoContext, member_id: UUID, opened: datetime) -> str | None:
    found = orders.of_member(session, member_id, None, PageRequest(limit=10)).items
    numbers = [order.order_no for order in found if order.placed_at < opened]
    return demo.rng.choice(numbers) if numbers else None


def _photos(session: Session, demo: DemoContext, member_id: UUID, opened: datetime, category: Category) -> list[UUID]:
    if category not in {Category.LOGISTICS, Category.PRODUCT} or demo.rng.random() < 0.4:  # noqa: PLR2004 - shares of a story
        return []
    return [
        files.store_upload(
            session,
            demo.core.files,
            owner_member_id=member_id,
            purpose="ticket",
            data=_picture(demo),
            content_type="image/jpeg",
            now=opened,
        ).id
        for _ in range(demo.rng.randrange(1, 4))
    ]


def _picture(demo: DemoContext) -> bytes:
    """Draw a dented parcel: enough to see how photos look in a ticket."""
    rng = demo.rng
    wall, card = (rng.randrange(205, 235),) * 3, (rng.randrange(176, 200), rng.randrange(132, 150), rng.randrange(84, 104))
    image = Image.new("RGB", (960, 720), wall)
    draw = ImageDraw.Draw(image)
    left, top = rng.randrange(120, 240), rng.randrange(190, 280)
    right, bottom = left + rng.randrange(480, 600), top + rng.randrange(280, 360)
    draw.rectangle((0, bottom - 30, 960, 720), fill=tuple(value - 60 for value in wall))
    draw.polygon([(left, top), (left + 90, top - 90), (right + 60, top - 90), (right, top)], fill=tuple(value + 22 for value in card))
    draw.polygon(
        [(right, top), (right + 60, top - 90), (right + 60, bottom - 90), (right, bottom)], fill=tuple(value - 40 for value in card)
    )
    draw.rectangle((left, top, right, bottom), fill=card)
    middle = (left + right) // 2
    draw.rectangle((middle - 34, top, middle + 34, bottom), fill=tuple(value + 34 for value in card))
    draw.rectangle((left + 40, bottom - 130, left + 190, bottom - 40), fill=(244, 244, 240))
    for row in range(4):
        draw.line((left + 54, bottom - 115 + row * 20, left + 176, bottom - 115 + row * 20), fill=(120, 120, 120), width=4)
    x, y = rng.randrange(middle + 50, right - 60), rng.randrange(top + 40, bottom - 60)
    corners = [(x + rng.randrange(-60, 60), y + rng.randrange(-46, 46)) for _ in range(7)]
    draw.polygon(corners, fill=(58, 42, 30))
    for corner in corners:
        draw.line((x, y, *corner), fill=tuple(value - 60 for value in card), width=5)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()
