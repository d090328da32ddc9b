"""Codes for coupons: made in pieces, claimed once each, told to nobody, and gone when their time is over."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from server.audit.models import AuditEntry
from server.coupons import code_queries, service
from server.coupons.errors import CodeBatchStoppedError, CodesGoneError, CodeWordTakenError
from server.coupons.models import Coupon, CouponCode, CouponCodeBatch
from server.coupons.rules.codes import BatchDraft, BatchKind
from server.kernel.actors import MemberActor
from server.transfers import queries as transfers
from tests.conftest import START
from tests.coupons.test_races import at_once, some_members, wide
from tests.factories.coupons import STAFF, a_template
from tests.factories.feedback import Caller, a_caller

if TYPE_CHECKING:
    from uuid import UUID

    from config.settings import Settings
    from server.bootstrap import Core

NOW = START


@pytest.fixture
def member(core: Core) -> Caller:
    return a_caller(core)


def a_batch(
    core: Core, *, size: int | None = 5, kind: BatchKind = BatchKind.UNIQUE, template: dict[str, Any] | None = None, **draft: Any
) -> UUID:
    """Make a batch and all its codes, in pieces of three."""
    with core.db.transaction() as session:
        template_id = a_template(session, now=NOW, claim_centre=False, **(template or {}))
        batch = service.make_batch(session, BatchDraft(template_id, kind, size, **draft), actor=STAFF, now=NOW)
    while core.db.run(lambda session: service.make_codes(session, batch, NOW, 3)):
        pass
    return batch


def codes_of(core: Core, batch: UUID) -> list[str]:
    return list(core.db.run(lambda session: service.open_file(session, batch, reason="print", actor=STAFF, now=NOW)).codes())


def found(core: Core, batch: UUID) -> code_queries.BatchView:
    with core.db.reading() as session:
        return code_queries.find_batch(session, batch)


def post(client: Any, who: Caller, code: str, key: str) -> Any:
    return client.post("/api/v1/coupons/codes", json={"code": code}, headers={**who.headers, "Idempotency-Key": key})


def told(answer: Any) -> dict[str, Any]:
    """Return what an answer says, without the number of its request."""
    return {name: value for name, value in answer.json.items() if name != "request_id"}


def test_codes_are_made_in_pieces_that_go_on_where_they_broke_off(core: Core):
    with core.db.transaction() as session:
        wanted = BatchDraft(a_template(session, now=NOW), BatchKind.UNIQUE, 7)
        batch = service.make_batch(session, wanted, actor=STAFF, now=NOW)
    core.db.run(lambda session: service.make_codes(session, batch, NOW, 3))
    with pytest.raises(RuntimeError), core.db.transaction() as session:
        service.make_codes(session, batch, NOW, 3)
        raise RuntimeError  # killed before its commit
    with pytest.raises(CodesGoneError):
        codes_of(core, batch)
    assert [core.db.run(lambda session: service.make_codes(session, batch, NOW, 3)) for _ in range(3)] == [3, 1, 0]
    view = found(core, batch)
    assert (view.state, view.made) == ("open", 7)
    with core.db.reading() as session:
        assert sorted(session.scalars(sa.select(CouponCode.line))) == list(range(1, 8))
        job = transfers.find(session, view.transfer_id)  # type: ignore[arg-type]
        assert job is not None
        assert (job.state, job.done) == ("done", 7)


def test_the_file_of_codes_is_audited_and_gone_an_hour_after_the_first_download(core: Core):
    batch = a_batch(core)
    codes = codes_of(core, batch)
    assert len(set(codes)) == 5
    late = NOW + timedelta(hours=1)
    with pytest.raises(CodesGoneError), core.db.transaction() as session:
        service.open_file(session, batch, reason="again", actor=STAFF, now=late)
    assert core.db.run(lambda session: service.forget_seeds(session, late)) == 1
    with core.db.reading() as session:
        assert session.scalar(sa.select(CouponCodeBatch.seed_sealed)) is None
        noted = session.scalars(sa.select(AuditEntry.reason).where(AuditEntry.action == "coupon_codes.download")).all()
        assert noted == ["print"]
        stored = session.scalars(sa.select(CouponCode.code_hash)).all()
    assert not any(code.replace("-", "") in text for code in codes for text in stored)


def test_a_code_is_claimed_once_and_wrong_ones_are_all_alike(client, core: Core, member: Caller):
    batch = a_batch(core, per_member=None, template={"per_member": None})
    first, second, third, *_ = codes_of(core, batch)
    other = a_caller(core, "another")
    given = post(client, member, first.lower().replace("-", " "), "k1")
    assert given.status_code == 201
    assert post(client, member, first, "k2").json["id"] == given.json["id"]
    taken = post(client, other, first, "k3")
    unknown = post(client, other, "2345-6789-ABCD-EFGH", "k4")
    assert taken.status_code == unknown.status_code == 404
    assert told(taken) == told(unknown)
    assert found(core, batch).claimed == 1
    for number in range(8):
        assert post(client, other, "nonsense", f"w{number}").status_code == 404
    refused = post(client, other, second, "k5")
    assert (refused.status_code, refused.json["code"]) == (429, "too_many_code_tries")
    assert int(refused.headers["Retry-After"]) == 12 * 3600
    assert post(client, member, second, "k6").status_code == 201
    with core.db.transaction() as session:
        service.stop_batch(session, batch, reason="leaked", actor=STAFF, now=NOW)
    stopped = post(client, member, third, "k7")
    assert told(stopped) == told(unknown)
    with pytest.raises(CodeBatchStoppedError), core.db.transaction() as session:
        service.stop_batch(session, batch, reason="again", actor=STAFF, now=NOW)
    later = core.db.run(lambda session: service.forget_tries(session, NOW + timedelta(days=2)))
    assert later == 11


def test_a_word_has_its_window_its_number_and_the_limits_of_the_template(client, core: Core, clock, member: Caller):
    opens = NOW + timedelta(minutes=10)
    batch = a_batch(core, size=2, kind=BatchKind.SHARED, word="Hello 618", claim_from=opens, template={"stock": 50})
    assert post(client, member, "hello618", "a").json["code"] == "coupon_code_not_valid"
    clock.set(opens)
    assert post(client, member, "HELLO-618", "b").status_code == 201
    assert post(client, member, "hello618", "c").json["code"] == "claim_limit_reached"
    assert post(client, a_caller(core, "two"), "hello618", "d").status_code == 201
    assert post(client, a_caller(core, "three"), "hello618", "e").json["code"] == "sold_out"
    assert found(core, batch).claimed == 2
    with pytest.raises(CodeWordTakenError):
        a_batch(core, size=None, kind=BatchKind.SHARED, word="ＨＥＬＬ0618")
    scarce = a_batch(core, size=None, kind=BatchKind.SHARED, word="scarce", template={"stock": 1})
    answers = [post(client, a_caller(core, key), "scarce", key) for key in "fg"]
    assert [answer.status_code for answer in answers] == [201, 409]
    assert found(core, scarce).claimed == 1


@pytest.mark.committing
def test_many_hands_on_one_code_and_one_word_get_one_and_no_more_than_there_are(core: Core, settings: Settings):
    core = wide(core, settings, 8)
    single, word = a_batch(core, size=1), a_batch(core, size=6, kind=BatchKind.SHARED, word="everybody")
    (code,) = codes_of(core, single)

    def of(who: UUID, text: str) -> Any:
        return lambda session: service.claim_by_code(session, who, text, actor=MemberActor(who), now=NOW)

    members = some_members(core, 12)
    won = [each for each in at_once(core, [of(who, code) for who in members], 8) if not isinstance(each, str) and each.coupon]
    assert len(won) == 1
    results = at_once(core, [of(who, "everybody") for who in members for _ in range(2)], 8)
    assert sum(1 for each in results if not isinstance(each, str) and each.coupon) == 6
    assert {each for each in results if isinstance(each, str)} <= {"sold_out", "claim_limit_reached"}
    assert [found(core, each).claimed for each in (single, word)] == [1, 6]
    guesses = at_once(core, [of(members[0], "guess") for _ in range(16)], 8)
    assert guesses.count("too_many_code_tries") == 16 - sum(not isinstance(each, str) for each in guesses) >= 6
    with core.db.reading() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Coupon)) == 7
    core.close()
