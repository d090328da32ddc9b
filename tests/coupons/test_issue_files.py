"""Issuing to a file of members: no row twice, none over a limit, and every refusal with its reason."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from server.cards import queries as cards
from server.coupons import issue_queries, queries, service
from server.coupons.errors import IssueFileStateError
from server.coupons.models import Coupon, CouponTransition
from server.coupons.rules.issue_files import Room, RowRefusedError, columns_of, read_row
from server.coupons.service import issue_files
from server.kernel.actors import MemberActor
from server.kernel.errors import DomainError
from server.kernel.outbox import OutboxEvent
from server.members import service as members
from server.transfers import queries as transfers
from tests.conftest import START
from tests.coupons.test_races import at_once, check_books, wide
from tests.factories.coupons import STAFF, SYSTEM, a_template
from tests.factories.members import PHONES, a_member

if TYPE_CHECKING:
    from pathlib import Path
    from uuid import UUID

    from config.settings import Settings
    from server.bootstrap import Core

NOW = START


def staged(core: Core, path: Path, template: UUID, lines: list[str]) -> UUID:
    path.write_bytes(gzip.compress("\n".join(["会员卡号,手机号", *lines]).encode()))
    return core.db.run(lambda session: issue_files.stage(session, template, path, name="list.csv.gz", actor=STAFF, now=NOW))


def started(core: Core, file_id: UUID) -> UUID:
    return core.db.run(lambda session: issue_files.start(session, file_id, reason="thanks", actor=STAFF, now=NOW))


def piece(core: Core, file_id: UUID, limit: int = 500) -> int:
    return core.db.run(lambda session: issue_files.issue_piece(session, file_id, NOW, limit))


def card_holders(core: Core, number: int) -> dict[UUID, str]:
    with core.db.transaction() as session:
        made = [a_member(session, now=NOW, phone=None) for _ in range(number)]
        return {each: cards.of_member(session, each).card_no for each in made}  # type: ignore[union-attr]


def of_table(core: Core, model: Any) -> int:
    with core.db.reading() as session:
        return int(session.scalar(sa.select(sa.func.count()).select_from(model)) or 0)


def test_what_is_left_of_a_template_bounds_every_row():
    with pytest.raises(RowRefusedError, match="column_missing"):
        columns_of(["points"])
    assert read_row([" ", "138"], columns_of(["Card number", "phone"])).kind == "phone"
    room = Room(None, None, 250, 100, 3, 2, START.date(), held={b"a": [(2, START.date())]})
    assert room.refusal(b"a") is None
    assert room.give(b"a") == 1
    assert room.refusal(b"a") == "claim_limit_reached"
    assert room.give(b"b") == 1
    assert room.refusal(b"c") == "sold_out"
    assert Room(1, None, None, 0, None, None, START.date(), given=1).refusal(b"a") == "sold_out"
    assert Room(None, 1, None, 0, None, None, START.date(), given=1).refusal(b"a") == "sold_out"


def test_a_file_is_issued_once_and_goes_on_where_it_broke_off(core: Core, tmp_path: Path):
    holders = card_holders(core, 5)
    with core.db.transaction() as session:
        caller = a_member(session, now=NOW, phone=PHONES[3])
        template = a_template(session, now=NOW, stock=5, budget_fen=2000 * 50)
        already = next(iter(holders))
        service.claim(session, already, template, actor=MemberActor(already), now=NOW)
    numbers = list(holders.values())
    lines = [f"{number}," for number in numbers]
    file_id = staged(core, tmp_path / "a", template, [*lines, f",{PHONES[3]}", f"{numbers[2]},", "999,", ",", ",123"])
    with core.db.reading() as session:
        view = issue_queries.find_file(session, file_id)
        assert (view.state, view.members, view.refused) == ("staged", 6, 3)
        assert [(each.line, each.reason) for each in issue_queries.refusals(session, file_id)] == [
            (8, "repeated"), (9, "no_such_member"), (11, "no_such_member"),
        ]  # fmt: skip
    assert piece(core, file_id) == 0
    with pytest.raises(DomainError), core.db.transaction() as session:
        issue_files.start(session, file_id, reason=" ", actor=STAFF, now=NOW)
    transfer_id = started(core, file_id)
    with pytest.raises(IssueFileStateError):
        started(core, file_id)
    assert piece(core, file_id, 2) == 2
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        issue_files.issue_piece(session, file_id, NOW, 2)
        raise RuntimeError  # killed before its commit
    assert [piece(core, file_id, 2) for _ in range(4)] == [2, 2, 0, 0]
    with core.db.reading() as session:
        view = issue_queries.find_file(session, file_id)
        assert (view.state, view.issued, view.refused) == ("done", 4, 5)
        assert {(each.line, each.reason) for each in issue_queries.refusals(session, file_id)} >= {
            (2, "claim_limit_reached"), (7, "sold_out"),
        }  # fmt: skip
        job = transfers.find(session, transfer_id)
        assert job is not None
        assert (job.state, job.done, job.errors) == ("done", 4, 2)
        template_view = queries.find_template(session, template)
        assert (template_view.issued, template_view.budget_committed_fen) == (5, 10_000)
        assert queries.wallet(session, caller, None, issue_queries.PageRequest()).items == []
        life = session.scalars(sa.select(CouponTransition).where(CouponTransition.reason == "thanks")).all()
        assert {(each.event, each.actor_ref) for each in life} == {("issue", STAFF.ref[:64])}
    assert [of_table(core, model) for model in (Coupon, CouponTransition)] == [5, 5]
    with core.db.reading() as session:
        told = sa.select(sa.func.count()).select_from(OutboxEvent).where(OutboxEvent.topic == "coupons.issued")
        assert session.scalar(told) == 5


def test_the_survivor_of_a_merge_gets_the_coupon_and_a_paused_template_gives_none(core: Core, tmp_path: Path):
    first, second = card_holders(core, 2).items()
    with core.db.transaction() as session:
        template = a_template(session, now=NOW)
    file_id = staged(core, tmp_path / "a", template, [f"{first[1]},", f"{second[1]},"])
    with core.db.transaction() as session:
        members.merge_members(session, first[0], second[0], reason="same", carried={}, actor=SYSTEM, now=NOW)
    started(core, file_id)
    assert piece(core, file_id, 1) == 1
    with core.db.reading() as session:
        assert session.scalars(sa.select(Coupon.member_id)).all() == [second[0]]
    with core.db.transaction() as session:
        service.pause(session, template, actor=STAFF, now=NOW)
    assert piece(core, file_id, 1) == 1
    with core.db.reading() as session:
        assert [each.reason for each in issue_queries.refusals(session, file_id)] == ["coupon_template_state"]


@pytest.mark.committing
def test_two_jobs_and_claims_at_once_never_give_one_too_many(core: Core, settings: Settings, tmp_path: Path):
    core = wide(core, settings, 8)
    holders = card_holders(core, 20)
    with core.db.transaction() as session:
        template = a_template(session, now=NOW, stock=15)
    file_id = staged(core, tmp_path / "a", template, [f"{number}," for number in holders.values()])
    started(core, file_id)

    def claims(who: UUID) -> Any:
        return lambda session: service.claim(session, who, template, actor=MemberActor(who), now=NOW)

    pieces = [lambda session: issue_files.issue_piece(session, file_id, NOW, 4)] * 12
    works = [work for pair in zip(pieces, [claims(who) for who in list(holders)[:12]], strict=True) for work in pair]
    results = at_once(core, works, 8)
    assert {each for each in results if isinstance(each, str)} <= {"sold_out", "claim_limit_reached"}
    check_books(core, template, 15, 15)
    with core.db.reading() as session:
        assert issue_queries.find_file(session, file_id).state == "done"
    core.close()
