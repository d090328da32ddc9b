"""Coupons of the demonstration: templates as a tea-and-gifts shop runs them, claimed and redeemed over the last weeks."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from server.coupons import code_queries, queries, service
from server.coupons.queries import CouponView
from server.coupons.rules.codes import BatchDraft, BatchKind
from server.coupons.rules.hours import Window
from server.coupons.rules.terms import SHIPPING_GROUP, Kind, Limits, Scope, TemplateDraft, Terms, Validity
from server.kernel.actors import MemberActor
from server.kernel.errors import DomainError
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from tasks.campaign_files import read_campaigns
from tasks.commands.import_campaigns import hand_out, template_of
from tasks.demo.catalogue import SAMPLE, STORES

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

    from tasks.demo import DemoContext

_HISTORY_DAYS = 24
_LOCKED_EVERY = 17
_ONLINE_EVERY = 4
_RETURNED_EVERY = 19
_PAST = "26"
_GIFTS = 6
# What the demonstration issues came in the way the product itself would issue it.
_WAYS = {"birthday": "campaigns", "apology-15": "staff"}


def _drafts(demo: DemoContext) -> list[TemplateDraft]:
    ended = Validity(demo.now - timedelta(days=40), demo.now - timedelta(hours=6))
    return [
        TemplateDraft(
            "newcomer",
            Terms(
                "新人礼 满100减20", Kind.AMOUNT_OFF, amount_off_fen=2000, threshold_fen=10000, description="每位新会员限领一张，下单即用。"
            ),
            Validity(days=30),
            Limits(stock=5000),
        ),
        TemplateDraft(
            "birthday",
            Terms(
                "生日券 立减30元",
                Kind.AMOUNT_OFF,
                amount_off_fen=3000,
                exclusion_group="birthday",
                return_grace_days=7,
                description="生日当天送达，可与店内其他优惠券同享。",
            ),
            Validity(days=30),
            Limits(per_member=None),
            claim_centre=False,
        ),
        TemplateDraft(
            "memberday",
            Terms("会员日 全场8折", Kind.PERCENT_OFF, percent_off=20, cap_fen=5000, description="每月会员日可领，最高优惠50元。"),
            Validity(days=7),
            Limits(stock=800, daily_stock=200, per_member=3, per_member_daily=1, budget_fen=4_000_000),
        ),
        TemplateDraft(
            "free-shipping",
            Terms(
                "满59元包邮",
                Kind.FREE_SHIPPING,
                threshold_fen=5900,
                giftable=True,
                cap_fen=1500,
                exclusion_group=SHIPPING_GROUP,
                description="可与满减券叠加，偏远地区最高抵15元运费。",
            ),
            Validity(days=15),
            Limits(stock=3000, per_member=2),
        ),
        TemplateDraft(
            "big-spend",
            Terms("满299减60", Kind.AMOUNT_OFF, amount_off_fen=6000, threshold_fen=29900, description="大额满减，不与其他商品券叠加。"),
            Validity(days=10),
            Limits(stock=120),
        ),
        TemplateDraft(
            "tea-steps",
            Terms(
                "阶梯满减 满100减10起",
                Kind.STEPS,
                steps=((10000, 1000), (20000, 3000), (30000, 5000)),
                hours=(Window(600, 1320, (1, 2, 3, 4, 5)),),
                description="工作日可用，买得越多减得越多。",
            ),
            Validity(days=20),
            Limits(stock=600),
        ),
        TemplateDraft(
            "first-gift",
            Terms(
                "首单满99元赠茶杯",
                Kind.GIFT,
                threshold_fen=9900,
                gift_sku="CUP-GIFT",
                gift_quantity=1,
                gift_value_fen=1900,
                first_order_only=True,
                exclusion_group="gift",
                description="会员首单专享，赠品随单发出。",
            ),
            Validity(days=30),
            Limits(stock=400),
        ),
        TemplateDraft(
            "gold-tier",
            Terms(
                "金卡专享 85折",
                Kind.PERCENT_OFF,
                percent_off=15,
                cap_fen=10000,
                scope=Scope(tiers=("gold", "black")),
                description="金卡及以上会员专享。",
            ),
            Validity(days=30),
            Limits(stock=300),
        ),
        TemplateDraft(
            "apology-15",
            Terms(
                "服务补偿券 15元", Kind.AMOUNT_OFF, amount_off_fen=1500, exclusion_group="service", description="由客服发放，全场无门槛。"
            ),
            Validity(days=60),
            Limits(per_member=None),
            claim_centre=False,
        ),
        TemplateDraft(
            "festival-618",
            Terms("618 满200减40", Kind.AMOUNT_OFF, amount_off_fen=4000, threshold_fen=20000, description="活动已结束。"),
            ended,
            Limits(stock=200),
        ),
    ]


def load(session: Session, demo: DemoContext) -> None:
    """Make the templates that are missing, and for the new ones the coupons members have; ids go to ``demo.facts["coupons.templates"]``."""
    began = demo.now - timedelta(days=_HISTORY_DAYS + 10)
    templates: dict[str, UUID] = {}
    for draft in _drafts(demo):
        known = queries.template_by_code(session, draft.code)
        if known is not None:
            templates[draft.code] = known.id
            continue
        template_id = service.create_template(session, draft, actor=demo.actor, now=began)
        service.publish_template(session, template_id, actor=demo.actor, now=began)
        templates[draft.code] = template_id
        _hand_out(session, demo, template_id, draft)
    _past_campaign(session, demo)
    _codes(session, demo, templates)
    _gifts(session, demo, templates["free-shipping"])
    service.expire_due(session, demo.now)
    demo.facts["coupons.templates"] = templates


def _past_campaign(session: Session, demo: DemoContext) -> None:
    """Take over a real campaign of the retail sample: it ended yesterday, and its households are the demo's members."""
    campaign = next(each for each in read_campaigns(SAMPLE / "campaigns") if each.number == _PAST)
    moved = timedelta(days=(demo.now.date() - campaign.last).days - 1)
    campaign.first, campaign.last = campaign.first + moved, campaign.last + moved
    template_id = template_of(session, campaign)
    for number, (household, used) in enumerate(campaign.held()):
        back = [replace(each, at=each.at + moved) for each in used]
        hand_out(session, campaign, template_id, demo.members[number % len(demo.members)], household, back)


def _gifts(session: Session, demo: DemoContext, template_id: UUID) -> None:
    """Let members give coupons to one another: most are accepted, one is turned down, and one waits for its answer."""
    if queries.list_coupons(session, PageRequest(1), now=demo.now, template_id=template_id, state="given").items:
        return
    found = queries.list_coupons(session, PageRequest(100), now=demo.now, template_id=template_id, state="issued").items
    held = [coupon for coupon in found if coupon.issued_at < demo.now - timedelta(hours=21)][:_GIFTS]
    givers = {coupon.member_id for coupon in held}
    friends = [who for who in demo.members if who not in givers]
    for number, (coupon, friend) in enumerate(zip(held, friends, strict=False)):
        at = demo.now - timedelta(hours=20 - 2 * number)
        made = service.offer(session, coupon.member_id, coupon.id, actor=MemberActor(coupon.member_id), now=at)
        if number == len(held) - 1:
            continue
        answer = service.refuse if number == 0 else service.accept
        answer(session, friend, made.token, actor=MemberActor(friend), now=at + timedelta(minutes=40))


def _codes(session: Session, demo: DemoContext, templates: dict[str, UUID]) -> None:
    """Make a word that members claim with, and codes on a flyer."""
    if code_queries.list_batches(session, PageRequest(1)).items:
        return
    word = BatchDraft(templates["apology-15"], BatchKind.SHARED, 500, "谢谢你2026", note="直播间口令")
    flyer = BatchDraft(templates["apology-15"], BatchKind.UNIQUE, 200, note="门店开业传单")
    service.make_batch(session, word, actor=demo.staff("operations"), now=demo.now - timedelta(days=3))
    flyers = service.make_batch(session, flyer, actor=demo.staff("operations"), now=demo.now - timedelta(days=2))
    service.make_codes(session, flyers, demo.now - timedelta(days=2))
    for member_id in demo.members[:12]:
        service.claim_by_code(session, member_id, word.word, actor=MemberActor(member_id), now=demo.now - timedelta(days=1))


def _hand_out(session: Session, demo: DemoContext, template_id: UUID, draft: TemplateDraft) -> None:
    share = {"big-spend": 0.95, "newcomer": 0.7, "memberday": 0.5, "free-shipping": 0.45, "festival-618": 0.4}.get(draft.code, 0.12)
    for number, member_id in enumerate(demo.members):
        if demo.rng.random() >= share:
            continue
        at = demo.now - timedelta(days=demo.rng.uniform(0.5, _HISTORY_DAYS))
        try:
            # A member may not be of the right tier, or today's coupons may be gone: then they have none.
            with session.begin_nested():
                coupon = _give(session, demo, template_id, draft, member_id, at)
        except DomainError:
            continue
        if demo.rng.random() < 0.4:  # noqa: PLR2004 - four in ten come back with it
            _redeem(session, demo, coupon, draft, number, at)


def _give(session: Session, demo: DemoContext, template_id: UUID, draft: TemplateDraft, member_id: UUID, at: datetime) -> CouponView:
    if draft.claim_centre:
        return service.claim(session, member_id, template_id, actor=MemberActor(member_id), now=at)
    source = Source(_WAYS.get(draft.code, "staff"), f"demo:{draft.code}:{member_id.hex}")
    return service.issue(session, member_id, template_id, source=source, actor=demo.actor, now=at, reason=draft.terms.name)


def _redeem(session: Session, demo: DemoContext, coupon: CouponView, draft: TemplateDraft, number: int, at: datetime) -> None:
    if draft.terms.kind in {Kind.STEPS, Kind.GIFT}:
        return  # held at the hours and orders they are for; those of the demonstration wait in the wallets
    basket_fen = max(draft.terms.threshold_fen, 6000) + demo.rng.randrange(0, 20000, 100)
    worth_fen = basket_fen * draft.terms.percent_off // 100 or draft.terms.amount_off_fen or 800
    discount_fen = min(worth_fen, draft.terms.cap_fen or worth_fen)
    online = draft.terms.kind is Kind.FREE_SHIPPING or number % _ONLINE_EVERY == 0
    channel, external_no = "mall" if online else "store", f"{draft.code}-{number:04d}"
    # One till tells nothing of its store.
    stores = (*(code for code, _, _ in STORES), None)
    store = service.NO_STORE if online else stores[number % len(stores)]
    if number % _LOCKED_EVERY == 0 and queries.find(session, coupon.id, now=demo.now).state == "issued":
        service.lock(session, coupon.id, channel=channel, external_no=external_no, actor=demo.actor, now=demo.now)
        return
    later = at + (min(demo.now, coupon.valid_until, at + timedelta(days=5)) - at) * demo.rng.random()
    service.redeem(
        session,
        coupon.id,
        channel=channel,
        external_no=external_no,
        discount_fen=discount_fen,
        sales_fen=basket_fen - discount_fen,
        store=store,
        actor=demo.actor,
        now=later,
    )
    if number % _RETURNED_EVERY == 0:
        back = later + (demo.now - later) * demo.rng.random()
        service.return_(session, coupon.id, refund_id=f"RF-{external_no}", actor=demo.actor, now=back)
