"""Every entry says why it moved so many points, whatever made it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from server.flows import merge
from server.kernel.actors import StaffActor, SystemActor
from server.kernel.amounts import Points
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from server.orders.drafts import RefundLine
from server.orders.rules import UNKNOWN_INSTANT
from server.points import explain as explaining
from server.points import overview, queries, service
from server.points.models import PointsEntry
from server.points.rules import DebtPolicy
from tasks.demo import load_demo
from tests.conftest import START
from tests.factories.orders import a_draft, a_line, an_event, an_order, told
from tests.factories.points import a_member

if TYPE_CHECKING:
    from uuid import UUID

    from sqlalchemy.orm import Session

LIN, JOB = StaffActor(uuid7(), "Lin"), SystemActor("test")
NOW = START


def source(key: str) -> Source:
    return Source("test", key)


def why(session: Session, entry_id: UUID, language: str = "zh", **options: bool) -> list[str]:
    return explaining.explain(session, [entry_id], language, lambda text: text, **options)[entry_id]  # type: ignore[arg-type]


def newest(session: Session, kind: str) -> UUID:
    found = session.scalar(sa.select(PointsEntry.id).where(PointsEntry.kind == kind).order_by(PointsEntry.id.desc()).limit(1))
    assert found is not None
    return found


def given(session: Session, member_id: UUID, points: int, key: str, **options: object) -> UUID:
    return service.accrue(session, member_id, Points(points), source=source(key), reason="茶会", actor=JOB, now=NOW, **options).id  # type: ignore[arg-type]


def test_what_comes_and_goes_without_a_rule(session):
    member = a_member(session, now=NOW)
    assert why(session, given(session, member, 40, "a")) == ["茶会：40分"]
    till = Source("partner:x", "t1")
    by_till = service.accrue(session, member, Points(7), source=till, reason="会员日", actor=JOB, now=NOW)
    assert why(session, by_till.id, "en") == ["7 points given by a partner by its own rules"]
    spent = service.redeem(session, member, Points(30), source=source("b"), reason="茶杯", actor=JOB, now=NOW)
    assert why(session, spent.id) == ["使用30分，先用最早到期的"]
    back = service.return_redemption(session, spent.id, Points(10), source=source("c"), reason="退", actor=JOB, now=NOW)
    assert why(session, back.id) == ["退回「茶杯」使用的30分中的10分，退回原批次"]
    assert why(session, back.id, "en") == ["10 of the 30 points used for “茶杯” go back into the lots they came from"]


def test_what_is_set_aside_is_used_or_released(session):
    member = a_member(session, now=NOW, points=100)
    for key, close in (("a", service.release), ("b", service.redeem_reservation)):
        held = service.reserve(
            session, member, Points(60), source=source(key), reason="礼盒", actor=JOB, now=NOW, ttl=timedelta(minutes=30)
        )
        assert why(session, held.id) == ["预占60分，2026-06-15 12:30前未完成则退回"]
        closed = close(session, held.id, actor=JOB, now=NOW, **({} if close is service.release else {"reason": "礼盒"}))
        told_zh = {"release": "预占的60分没有用掉，已退回可用积分", "redeem": "使用此前预占的60分"}
        assert why(session, closed.id) == [told_zh[closed.kind]]


def test_time_tells_whose_lot_it_was(session):
    member = a_member(session, now=NOW)
    day = timedelta(days=1)
    given(session, member, 20, "a", available_at=NOW + day, expires_at=NOW + 2 * day)
    service.unlock_due(session, NOW + day)
    assert why(session, newest(session, "unlock")) == ["「茶会」发放的积分已到生效时间2026-06-16 12:00"]
    service.expire_due(session, NOW + 2 * day)
    assert why(session, newest(session, "expire")) == ["「茶会」发放的积分于2026-06-17 12:00到期，剩余20分过期"]


def test_a_day_that_nobody_can_name_yet_is_told_as_none(session):
    member = a_member(session, now=NOW)
    entry = given(session, member, 20, "a", available_at=UNKNOWN_INSTANT)
    (lot,) = queries.lots(session, member, PageRequest(5)).items
    found = overview.entry_detail(session, entry)
    assert found is not None
    assert (lot.state, lot.unlock_at, found.allocations[0].unlock_at) == ("pending", None, None)


def test_what_is_taken_back_names_what_it_takes_back_and_what_was_missing(session):
    member = a_member(session, now=NOW)
    first = given(session, member, 10, "a")
    service.redeem(session, member, Points(8), source=source("b"), reason="茶杯", actor=JOB, now=NOW)
    back = service.reverse(
        session, first, None, source=source("c"), reason="退货", actor=JOB, now=NOW, policy=DebtPolicy.NEGATIVE, details={"why": []}
    )
    assert why(session, back.id) == ["收回「茶会」发放的10分中的10分", "余额不足，8分记为欠分"]


def test_a_hand_says_its_reason_and_staff_read_who_agreed(session):
    member = a_member(session, now=NOW)
    details = {"asked_by": "Lin", "approved_by": "Wei"}
    made = service.adjust(session, member, Points(-0 + 5), source=source("a"), reason="补发", actor=LIN, now=NOW, details=details)
    assert why(session, made.id) == ["工作人员手工调整5分，原因：补发"]
    assert why(session, made.id, "en", for_staff=True) == ["Adjusted by hand by 5 points, because: 补发", "Asked by Lin, approved by Wei"]
    other = a_member(session, now=NOW)
    merge.merge(session, member, other, reason="test", actor=LIN, now=NOW)
    assert why(session, newest(session, "merge")) == ["合并会员档案时一并转入"]


def test_a_refund_says_what_each_line_takes(session):
    service.ensure_default_rules(session, actor=JOB, now=NOW - timedelta(days=1))
    draft = a_draft(now=NOW, lines=(a_line(1, amount_fen=23_700), a_line(2, amount_fen=1000, sku="SKU-2")))
    an_order(session, draft, now=NOW)
    told(session, draft, an_event("refunded", NOW, refund_id="R1", lines=(RefundLine(1, 1, 7900),)), now=NOW)
    first = why(session, newest(session, "reverse"))
    assert first[0].startswith("收回「Points for your order」发放的")
    assert first[1:] == ["第1行实付237元得237分，至今退款79元，收回79分"]


@pytest.mark.committing
def test_every_entry_of_the_demonstration_explains_itself(core):
    load_demo(core)
    with core.db.reading() as session:
        ids = session.scalars(sa.select(PointsEntry.id)).all()
        for language in ("zh", "en"):
            found = explaining.explain(session, ids, language, lambda text: text, for_staff=True)
            assert set(found) == set(ids)
            assert len(ids) > 300
            unclear = [
                words for words in found.values() if not words or any("None" in text or "{" in text or " -" in text for text in words)
            ]
            assert unclear == []
        # Numbers given by nobody's rule are few, and each names what decided.
        plain = session.scalars(
            sa.select(PointsEntry.source_namespace).where(PointsEntry.kind == "accrue", PointsEntry.details.is_(None))
        ).all()
        assert {namespace.partition(":")[0] for namespace in plain} <= {"partner"}
