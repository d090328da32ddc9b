"""The months of points in the console, and a drift of the books that staff see."""

from __future__ import annotations

import re
from datetime import date
from io import BytesIO

import sqlalchemy as sa
from python_calamine import CalamineWorkbook

from server.kernel.amounts import Points
from server.kernel.ids import uuid7
from server.points import months, service
from server.points.models import PointsAccount
from tasks.jobs import points as jobs
from tests.admin.conftest import token_of
from tests.conftest import START
from tests.factories.points import SYSTEM, a_member, a_source


def test_a_closed_month_its_accounts_and_their_export(core, signed_in_as):
    def prepare(session):
        member_id = a_member(session, now=START, points=1234)
        service.redeem(session, member_id, Points(200), source=a_source(), reason="Reward", actor=SYSTEM, now=START)
        closing = months.work_out(session, date(2026, 6, 1), cutoff=uuid7())
        months.close(session, closing, points_per_yuan=50, actor=SYSTEM, now=START)

    client = signed_in_as("operations")
    assert "尚无月结" in client.get("/admin/points-months/").get_data(as_text=True)
    core.db.run(prepare)
    text = client.get("/admin/points-months/").get_data(as_text=True)
    assert "/admin/points-months/2026-06" in text
    assert "按已月结月份：各月数据不再变动" in text  # charts say what they show
    # What is owed stands at today's worth of a point, and in the closed month at its own.
    assert "¥10.34" in text
    month = client.get("/admin/points-months/2026-06").get_data(as_text=True)
    assert "¥20.68" in month
    # The row beneath the accounts is their sum, which an auditor looks for: nothing but zeros.
    (total,) = [row for row in month.split("<tr") if "各账户合计" in row]
    cells = re.findall(r"<td[^>]*class=\"num[^>]*>(.*?)</td>", total, re.DOTALL)
    assert [re.sub(r"<[^>]+>|\s", "", cell) for cell in cells] == ["0"] * 9
    assert [client.get(f"/admin/points-months/{month}").status_code for month in ("2026-07", "soon")] == [404, 404]
    token = token_of(client, "/admin/account/password")
    answer = client.post("/admin/points-months/export", data={"csrf_token": token, "reason": "for the accountant"})
    cells = CalamineWorkbook.from_filelike(BytesIO(answer.get_data())).get_sheet_by_index(0).to_python()
    assert ["2026-06", "会员·可用", "0", "1,234", "-200"] in [row[:5] for row in cells]
    assert len(cells) == 9


def test_a_balance_that_drifts_from_its_books_is_an_incident_in_the_console_until_it_is_right(core, signed_in_as):
    member_id = core.db.run(lambda session: a_member(session, now=START, points=10))

    def plant(count):
        core.db.run(lambda s: s.execute(sa.update(PointsAccount).where(PointsAccount.member_id == member_id).values(available=count)))
        return jobs.prove(core, START)

    client = signed_in_as("admin")
    assert plant(11) == 2  # against the ledger, and against the lots
    text = client.get("/admin/queues/").get_data(as_text=True)
    assert "points.drifted" in text
    assert plant(10) == 0
    assert "points.drifted" not in client.get("/admin/queues/").get_data(as_text=True)
