"""Which templates the console points at before nothing is left of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from server.coupons import queries, service
from server.coupons.rules.terms import Validity
from server.kernel.pagination import PageRequest
from server.kernel.source import Source
from tests.factories.coupons import STAFF, a_member, a_template, some_terms

NOW = datetime(2026, 6, 15, 4, 0, tzinfo=UTC)

pytestmark = pytest.mark.requirement("CPN8")


def issue(session, template_id, count):
    for number in range(count):
        source = Source("test", f"{template_id.hex}:{number}")
        service.issue(session, a_member(session, now=NOW), template_id, source=source, actor=STAFF, now=NOW)


def running_out(session, now=NOW):
    found = [view.draft.code for view in queries.list_templates(session, PageRequest(50), running_out_at=now).items]
    assert queries.count_running_out(session, now) == len(found)
    return sorted(found)


def test_nine_tenths_of_the_stock_or_of_the_budget_are_the_mark(session):
    by_stock = a_template(session, now=NOW, code="stock", stock=10, per_member=None)
    by_budget = a_template(session, now=NOW, code="budget", budget_fen=10 * some_terms().worst_case_fen(), per_member=None)
    endless = a_template(session, now=NOW, code="endless", per_member=None)
    for template_id in (by_stock, by_budget, endless):
        issue(session, template_id, 8)
    assert running_out(session) == []
    for template_id in (by_stock, by_budget, endless):
        source = Source("test", f"{template_id.hex}:ninth")
        service.issue(session, a_member(session, now=NOW), template_id, source=source, actor=STAFF, now=NOW)
    assert running_out(session) == ["budget", "stock"]


def test_what_nobody_can_have_any_more_is_left_out(session):
    until = NOW + timedelta(days=2)
    a_template(session, now=NOW, code="draft", stock=1, published=False)
    paused = a_template(session, now=NOW, code="paused", stock=1)
    window = a_template(session, now=NOW, code="window", stock=1, claim_until=until)
    ending = a_template(session, now=NOW, code="ending", stock=1, validity=Validity(valid_from=NOW, valid_until=until))
    for template_id in (paused, window, ending):
        issue(session, template_id, 1)
    service.pause(session, paused, actor=STAFF, now=NOW)
    assert running_out(session) == ["ending", "window"]
    assert running_out(session, until) == []
