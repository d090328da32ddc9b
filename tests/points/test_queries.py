"""What staff read, and the rulebook."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from server.kernel.amounts import Points
from server.kernel.errors import InvalidError
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.points import overview, queries, service
from server.points.errors import RuleInvalidError
from server.points.overview import LedgerFilter
from server.points.rulebook import RuleDraft
from server.points.rules import CheckInRule, DebtPolicy, PerAmountRule, PolicySettings, RuleRef
from tests.conftest import START
from tests.factories.points import STAFF, SYSTEM, a_member, a_source

TODAY = date(2026, 6, 15)


def save(session, document=None, *, code="purchase", kind="per_amount", **more):
    document = document or {"fen_per_point": 100}
    return service.save_rule(session, RuleDraft(code, kind, more.pop("name", "Purchase"), document, **more), actor=STAFF, now=START)


def test_a_rule_changes_by_a_new_version_and_the_old_one_stays(session):
    first = save(session)
    second = save(session, {"fen_per_point": 50})
    assert [(view.id, view.version) for view in queries.rule_versions(session, code="purchase")] == [(second, 2), (first, 1)]
    (rule,) = queries.active_rules(session, START)
    assert (rule.fen_per_point, rule.ref.version) == (50, 2)


def test_only_enabled_rules_inside_their_window_are_active(session):
    save(session, valid_from=START, valid_until=START + timedelta(days=1))
    assert queries.active_rules(session, START - timedelta(seconds=1)) == []
    assert len(queries.active_rules(session, START)) == 1
    assert queries.active_rules(session, START + timedelta(days=1)) == []
    save(session, enabled=False)
    assert queries.active_rules(session, START) == []


def test_a_rule_that_makes_no_sense_is_refused_and_nothing_changes(session):
    save(session)
    with pytest.raises(RuleInvalidError):
        save(session, {"fen_per_point": 0})
    for wrong in ({"code": "no spaces"}, {"name": " "}, {"valid_from": START, "valid_until": START}):
        with pytest.raises(InvalidError):
            save(session, **wrong)
    with pytest.raises(InvalidError):
        save(session, {"points": 1}, kind="check_in")
    assert len(queries.rule_versions(session)) == 1


def test_default_rules_are_written_once(session):
    assert service.ensure_default_rules(session, actor=SYSTEM, now=START) == 2
    assert service.ensure_default_rules(session, actor=SYSTEM, now=START) == 0
    assert {type(rule) for rule in queries.active_rules(session, START)} == {PerAmountRule, CheckInRule}


def test_settings_change_by_versions(session):
    assert queries.settings(session) == PolicySettings()
    service.change_settings(session, PolicySettings(DebtPolicy.NEGATIVE, 10), actor=STAFF, now=START)
    service.change_settings(session, PolicySettings(DebtPolicy.NEGATIVE, 20), actor=STAFF, now=START)
    assert queries.settings(session) == PolicySettings(DebtPolicy.NEGATIVE, 20)
    with pytest.raises(InvalidError):
        service.change_settings(session, PolicySettings(reopen_days=0), actor=STAFF, now=START)


def test_the_day_is_counted_by_rule_for_caps(session):
    member_id = a_member(session, now=START)
    ref = RuleRef(save(session), "purchase", 1)
    for day in (0, 0, 1):
        service.accrue(
            session,
            member_id,
            Points(10),
            source=a_source(),
            reason="Order",
            actor=SYSTEM,
            now=START + timedelta(days=day),
            rule=ref,
            details={"why": [{"rule": "purchase", "points": 7}, {"rule": "tea", "points": 3}, {"line_no": 3, "points": 0, "why": "x"}]},
        )
    assert queries.earned_on(session, member_id, TODAY) == {"purchase": 14, "tea": 6}


def test_staff_search_the_ledger_by_member_source_kind_and_time(session):
    one, other = a_member(session, now=START), a_member(session, now=START)
    source = a_source("order:till:100_1:points", "orders")
    entry = service.accrue(session, one, Points(5), source=source, reason="Order", actor=SYSTEM, now=START)
    service.accrue(session, other, Points(6), source=a_source(), reason="Gift", actor=SYSTEM, now=START + timedelta(hours=1))

    def found(**wanted):
        return [row.id for row in overview.search_entries(session, LedgerFilter(**wanted), PageRequest()).items]

    assert len(found()) == 2
    assert found(member_id=one) == found(source="order:till:100_1") == found(source="orders/order:till") == [entry.id]
    assert found(source="order:till:100x") == found(kind="redeem") == []
    late = service.accrue(
        session, one, Points(7), source=a_source(), reason="Told late", actor=SYSTEM, now=START, as_of=START - timedelta(days=1)
    )
    assert found(last_day=TODAY - timedelta(days=1)) == [late.id]
    assert late.id not in found(first_day=TODAY)
    assert entry.id in found(first_day=TODAY, last_day=TODAY)


def test_an_entrys_page_shows_its_books(session):
    member_id = a_member(session, now=START)
    ref = RuleRef(save(session), "purchase", 1)
    entry = service.accrue(session, member_id, Points(10), source=a_source(), reason="Order", actor=SYSTEM, now=START, rule=ref)
    service.reverse(session, entry.id, Points(4), source=a_source(), reason="Refund", actor=SYSTEM, now=START)
    detail = queries.entry_detail(session, entry.id)
    assert detail.rule == "purchase@1"
    assert [(row.account, row.amount) for row in detail.postings] == [("issuer", -10), ("available", 10)]
    assert [(row.amount, row.lot_left) for row in detail.allocations] == [(10, 6)]
    assert [row.points for row in detail.reversed_by] == [-4]
    assert queries.entry_detail(session, uuid7()) is None


def test_the_days_totals_cover_quiet_days_too(session):
    member_id = a_member(session, now=START)
    service.accrue(session, member_id, Points(10), source=a_source(), reason="Gift", actor=SYSTEM, now=START - timedelta(days=1))
    service.redeem(session, member_id, Points(3), source=a_source(), reason="Reward", actor=SYSTEM, now=START)
    days = overview.daily_totals(session, TODAY, days=3)
    assert [(day.day.day, day.issued, day.redeemed, day.expired) for day in days] == [(13, 0, 0, 0), (14, 10, 0, 0), (15, 0, 3, 0)]


def test_liability_and_what_expires_soon_are_summed(session):
    for days in (3, 20, 200):
        member_id = a_member(session, now=START)
        service.accrue(
            session,
            member_id,
            Points(10),
            source=a_source(),
            reason="Gift",
            actor=SYSTEM,
            now=START,
            expires_at=START + timedelta(days=days),
        )
    assert overview.totals(session) == overview.Totals(3, 0, 30, 0, 0)
    assert [(row.within_days, row.points, row.members) for row in overview.expiring(session, TODAY)] == [
        (7, 10, 1),
        (30, 20, 2),
        (90, 20, 2),
        (365, 30, 3),
    ]


def test_reading_a_balance_and_a_page_takes_few_statements(session, count_statements):
    member_id = a_member(session, now=START, points=10)
    with count_statements() as counted:
        queries.balance(session, member_id, now=START)
    assert counted() == 1
    with count_statements() as counted:
        queries.entries(session, member_id, PageRequest())
    assert counted() == 2


def test_an_accrual_takes_nine_statements_at_most(session, count_statements):
    member_id = a_member(session, now=START, points=10)
    with count_statements() as counted:
        service.accrue(session, member_id, Points(1), source=a_source(), reason="Gift", actor=SYSTEM, now=START)
    assert counted() <= 9
