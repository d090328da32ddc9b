"""A file of opening balances through the console, and by the command."""

from __future__ import annotations

import re
from io import BytesIO

from server.cards import queries as cards
from server.points import openings, queries
from tasks.jobs import opening as job
from tests.admin.conftest import SECRETS, open_account, sign_in, token_of
from tests.conftest import START
from tests.factories.members import a_member


class Approved:
    """The event of a file, as the job gets it."""

    def __init__(self, opening_id):
        self.payload = {"opening_id": str(opening_id)}


def test_a_file_is_brought_looked_at_and_waits_for_a_colleague(core, signed_in_as):
    card_no = core.db.run(lambda session: cards.of_member(session, a_member(session, now=START)).card_no)
    client = signed_in_as("operations")
    token = token_of(client, "/admin/points-openings/new")
    data = {"csrf_token": token, "channel": "pos", "file": (BytesIO(f"卡号,积分\n{card_no},2500\n999,5\n".encode()), "旧系统.csv")}
    answer = client.post("/admin/points-openings/new", data=data)
    assert answer.status_code == 302
    page = client.get(answer.headers["Location"]).get_data(as_text=True)
    assert "旧系统.csv" in page
    assert "2,500" in page
    assert "会员不存在" in page
    assert b"no_such" not in client.get(f"{answer.headers['Location']}/faults").get_data()
    broken = {"csrf_token": token, "channel": "pos", "file": (BytesIO(b"name\nx\n"), "x.csv")}
    assert client.post("/admin/points-openings/new", data=broken).status_code == 422
    client.post(f"{answer.headers['Location']}/ask", data={"csrf_token": token, "reason": "sums agree"})
    (approve,) = set(re.findall(r"/admin/approvals/[0-9a-f-]+/withdraw", client.get("/admin/approvals/").get_data(as_text=True)))
    approve = approve.replace("withdraw", "approve")
    client.post(approve, data={"csrf_token": token, "reason": "mine"})
    with core.db.reading() as session:
        (view,) = openings.newest(session)
        assert view.approval_id is not None
        assert view.transfer_id is None


def test_the_command_brings_a_file_and_only_asks(core, app, tmp_path):
    def prepare(session):
        member_id = a_member(session, now=START)
        return member_id, cards.of_member(session, member_id).card_no

    member_id, card_no = core.db.run(prepare)
    path = tmp_path / "old.csv"
    path.write_text(f"card_no,points\n{card_no},2500\n999,5\n", encoding="utf-8")
    open_account(core, "service")
    command = ["points", "import-balances", str(path), "--reason", "from the old till", "--by"]
    assert app.test_cli_runner().invoke(args=[*command, "nobody@example.com"]).exit_code == 2
    said = app.test_cli_runner().invoke(args=[*command, SECRETS["service"].email])
    assert said.exit_code == 0, said.output
    assert "1 balances, 2500 points; 0 taken in before, 1 refused" in said.output
    assert (tmp_path / "old.csv.errors.csv").read_text(encoding="utf-8").splitlines()[1] == "3,card_no,no_such_member"
    with core.db.reading() as session:
        (view,) = openings.newest(session)
    open_account(core, "operations")
    client = sign_in(app.test_client(), core, "operations")
    token = token_of(client, "/admin/account/password")
    client.post(f"/admin/approvals/{view.approval_id}/approve", data={"csrf_token": token, "reason": "seen"})
    job.take_in(core, Approved(view.id))
    with core.db.reading() as session:
        assert queries.balance(session, member_id, now=START).available == 2500
        assert openings.find(session, view.id).finished_at is not None
    assert client.get(f"/admin/points-openings/{view.id}").status_code == 200
    assert "期初积分" in client.get("/admin/transfers/").get_data(as_text=True)
