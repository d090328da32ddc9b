"""Recall of what a file gave by mistake: asked, decided by a second person, unused voided with notice, used kept and listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.coupons import issue_queries, queries, service
from server.coupons.errors import CouponNotAvailableError, RecallStateError
from server.coupons.models import Coupon, CouponTransition
from server.coupons.service import recalls
from server.flows import approvals as flow
from server.flows import coupon_recall
from server.kernel.actors import StaffActor
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.outbox import OutboxEvent
from server.kernel.pagination import PageRequest
from server.notifications import queries as notifications
from server.staff import approvals
from server.staff.errors import OwnRequestError
from server.staff.permissions import Permission
from tasks.jobs import notifications as jobs
from tests.conftest import START
from tests.coupons.test_issue_files import card_holders, piece, staged, started
from tests.coupons.test_races import at_once, wide
from tests.factories.coupons import TILL, a_template

if TYPE_CHECKING:
    from pathlib import Path

    from config.settings import Settings
    from server.bootstrap import Core

NOW = START
MAY = frozenset({str(Permission.POINTS_APPROVE)})
LIN, WEI = StaffActor(uuid7(), "Lin", MAY), StaffActor(uuid7(), "Wei", MAY)


def an_issued_file(core: Core, path: Path, number: int) -> tuple[UUID, UUID]:
    """Issue to so many; return the template and the file."""
    holders = card_holders(core, number)
    with core.db.transaction() as session:
        template = a_template(session, now=NOW, stock=number, budget_fen=2000 * number)
    file_id = staged(core, path, template, [f"{each}," for each in holders.values()])
    started(core, file_id)
    while piece(core, file_id):
        pass
    return template, file_id


def coupons_of(core: Core) -> list[UUID]:
    with core.db.reading() as session:
        return list(session.scalars(sa.select(Coupon.id).order_by(Coupon.id)))


def ask(core: Core, file_id: UUID) -> UUID:
    return core.db.run(lambda session: coupon_recall.ask(session, file_id, reason="wrong list", actor=LIN, now=NOW))


def approve(core: Core, approval_id: UUID) -> dict[str, Any]:
    return core.db.run(lambda session: flow.approve(session, approval_id, reason=None, actor=WEI, now=NOW))


def redeem(session: Any, coupon_id: UUID) -> Any:
    return service.redeem(session, coupon_id, channel="till", external_no=coupon_id.hex, discount_fen=2000, actor=TILL, now=NOW)


def test_a_recall_needs_a_second_person_voids_the_unused_and_lists_the_used(core: Core, tmp_path: Path):
    template, file_id = an_issued_file(core, tmp_path / "a", 5)
    spent, kept, voided, *rest = coupons_of(core)
    with core.db.transaction() as session:
        redeem(session, spent)
        service.lock(session, kept, channel="till", external_no="L-1", actor=TILL, now=NOW)
        service.void(session, voided, reason="asked", actor=LIN, now=NOW)
    with pytest.raises(InvalidError), core.db.transaction() as session:
        coupon_recall.ask(session, file_id, reason=" ", actor=LIN, now=NOW)
    first, again = ask(core, file_id), ask(core, file_id)
    with core.db.reading() as session:
        assert issue_queries.recall_preview(session, file_id, now=NOW) == issue_queries.RecallPreview(unused=2, used=2, over=1)
        found = approvals.find(session, first)
        assert found is not None
        assert (found.payload["unused"], found.payload["used"]) == (2, 2)
    with pytest.raises(OwnRequestError), core.db.transaction() as session:
        flow.approve(session, first, reason=None, actor=LIN, now=NOW)
    recall_id = UUID(approve(core, first)["recall_id"])
    for late in (lambda: approve(core, again), lambda: ask(core, file_id)):
        with pytest.raises(RecallStateError):
            late()
    assert core.db.run(lambda session: recalls.recall_piece(session, recall_id, NOW, 2)) == 2
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        recalls.recall_piece(session, recall_id, NOW, 2)
        raise RuntimeError  # killed before its commit
    assert [core.db.run(lambda session: recalls.recall_piece(session, recall_id, NOW, 2)) for _ in range(4)] == [2, 1, 0, 0]
    with core.db.reading() as session:
        view = issue_queries.recall_of(session, file_id)
        states = {row.id: row.state for row in session.execute(sa.select(Coupon.id, Coupon.state))}
        assert states == {spent: "redeemed", kept: "locked", voided: "voided", **dict.fromkeys(rest, "voided")}
        assert {each.id for each in issue_queries.used_of(session, file_id, PageRequest(), now=NOW).items} == {spent, kept}
        template_view = queries.find_template(session, template)
        assert (template_view.issued, template_view.budget_committed_fen) == (5, 4000)
        why = session.scalars(
            sa.select(CouponTransition.reason).where(CouponTransition.coupon_id.in_(rest), CouponTransition.event == "void")
        )
        assert why.all() == ["wrong list", "wrong list"]
        told = session.scalars(sa.select(OutboxEvent).where(OutboxEvent.topic == "coupons.recalled")).all()
    assert {each.aggregate_id for each in told} == set(rest)
    assert len(coupons_of(core)) == 5
    assert view is not None
    assert (view.id, view.state, view.voided, view.kept) == (recall_id, "done", 2, 3)
    with core.db.transaction() as session:
        jobs.on_coupon_recalled(session, told[0], core)  # type: ignore[arg-type]  # it has what an event has
        member = queries.find(session, told[0].aggregate_id).member_id
        assert [each.code for each in notifications.inbox(session, member, PageRequest()).items] == ["coupon_recalled"]


@pytest.mark.committing
def test_a_recall_and_the_tills_never_both_have_a_coupon(core: Core, settings: Settings, tmp_path: Path):
    core = wide(core, settings, 8)
    _, file_id = an_issued_file(core, tmp_path / "a", 16)
    recall_id = UUID(approve(core, ask(core, file_id))["recall_id"])
    pieces = [lambda session: recalls.recall_piece(session, recall_id, NOW, 3)] * 12

    def redeeming(coupon_id: UUID) -> Any:
        return lambda session: redeem(session, coupon_id)

    works = [work for pair in zip(pieces, [redeeming(each) for each in coupons_of(core)[:12]], strict=True) for work in pair]
    results = at_once(core, works, 8)
    assert {each for each in results if isinstance(each, str)} <= {CouponNotAvailableError.code}
    with core.db.reading() as session:
        states = session.scalars(sa.select(Coupon.state)).all()
        view = issue_queries.recall_of(session, file_id)
        assert view is not None
        assert (view.state, view.voided, view.kept) == ("done", states.count("voided"), states.count("redeemed"))
        assert view.voided + view.kept == 16
    core.close()
