"""Opening balances: staged with sums and reasons, decided by a second person, taken in once, and never twice however often they are brought."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID

import pytest
import sqlalchemy as sa

from server.cards import queries as cards
from server.flows import approvals as flow
from server.flows import merge, opening
from server.kernel.actors import StaffActor
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.members.models import Member
from server.points import openings, queries
from server.points.errors import OpeningChangedError, OpeningEmptyError
from server.staff.errors import OwnRequestError
from server.staff.permissions import Permission
from server.transfers import queries as transfers
from server.transfers.errors import SheetRefusedError
from tests.conftest import START
from tests.factories.members import PHONES, a_member, an_unclaimed_member

MAY = frozenset({str(Permission.POINTS_APPROVE)})
LIN, WEI = StaffActor(uuid7(), "Lin", MAY), StaffActor(uuid7(), "Wei", MAY)


def stage(session, path, text, name="old.csv"):
    path.write_text(text, encoding="utf-8")
    return opening.stage(session, path, name=name, actor=LIN, now=START)


def a_file(session, path):
    """Bring two balances of one member and one each of two others, and some that cannot be taken in."""
    first, second = a_member(session, now=START), a_member(session, now=START, phone=PHONES[3])
    third = an_unclaimed_member(session, now=START, pos_id="P-9")
    card_no = cards.of_member(session, first).card_no
    text = (
        "id,card_no,phone,external_id,points,expires_on,note\n"
        f"1,{card_no},,,300,2026-12-31,\n2,{card_no},,,50,,\n3,,138 0013 8003,,700,,老会员\n4,,,P-9,9,2026-07-01,\n"
        f"5,9999,,,10,,\n4,,,P-9,9,,\n6,,,P-9,x,,\n7,,12345,,5,,\n"
    )
    return stage(session, path, text), (first, second, third), text


def has(session, member_id):
    return queries.balance(session, member_id, now=START).available


def run(session, opening_id, limit=500):
    while openings.take_in(session, opening_id, START, limit):
        pass


def test_a_file_is_taken_in_once_after_a_second_person_approved_it(session, tmp_path):
    opening_id, members, text = a_file(session, tmp_path / "a.csv")
    view = openings.find(session, opening_id)
    assert (view.balances, view.points, view.known) == (4, 1059, 0)
    assert view.faults == [
        [6, "card_no", "no_such_member"], [7, "id", "repeated"], [8, "points", "not_a_number_of_points"], [9, "phone", "no_such_member"],
    ]  # fmt: skip
    asked = opening.ask(session, opening_id, reason="from the old till", actor=LIN, now=START)
    assert opening.ask(session, opening_id, reason="from the old till", actor=LIN, now=START) == asked
    run(session, opening_id)
    with pytest.raises(OwnRequestError):
        flow.approve(session, asked, reason=None, actor=LIN, now=START)
    with pytest.raises(OpeningChangedError):
        openings.start(session, opening_id, digest="0" * 64, actor=WEI, now=START)
    assert [has(session, member_id) for member_id in members] == [0, 0, 0]
    outcome = flow.approve(session, asked, reason="sums agree", actor=WEI, now=START)
    assert openings.take_in(session, opening_id, START, limit=3) == 3  # and here the worker dies
    run(session, opening_id)
    assert [has(session, member_id) for member_id in members] == [350, 700, 9]
    lots = {lot.amount: lot.expires_at for lot in queries.lots(session, members[0], PageRequest()).items}
    assert lots == {300: datetime(2026, 12, 31, 16, tzinfo=UTC), 50: None}
    entry = queries.entries(session, members[1], PageRequest()).items[0]
    assert (entry.kind, entry.reason, entry.source) == ("accrue", "老会员", "opening/balance:3")
    job = next(one for one in transfers.list_jobs(session, PageRequest()).items if str(one.id) == outcome["transfer_id"])
    assert (job.state, job.total, job.done, job.errors) == ("done", 4, 4, 0)
    # The same file again has nothing to give, and another sum under a known id is refused.
    again = openings.find(session, stage(session, tmp_path / "b.csv", text.replace(",700,", ",701,"), "again.csv"))
    assert (again.balances, again.known) == (0, 3)
    assert [4, "points", "taken_in_with_other_points"] in again.faults
    with pytest.raises(OpeningEmptyError):
        opening.ask(session, again.id, reason="again", actor=LIN, now=START)
    assert queries.prove(session) == []


def test_a_row_without_an_id_is_known_by_its_member_however_the_file_names_them(session, tmp_path):
    first = a_member(session, now=START, phone=PHONES[3])
    second = an_unclaimed_member(session, now=START, pos_id="P-9")
    card_no = cards.of_member(session, first).card_no
    spaced = f"{card_no[:4]} {card_no[4:]}"
    once = stage(session, tmp_path / "a.csv", f"card_no,phone,external_id,points\n{spaced},,,300\n,138 0013 8003,,300\n,,P-9,9\n")
    view = openings.find(session, once)
    assert (view.balances, view.points, view.faults) == (2, 309, [[3, "phone", "repeated"]])
    flow.approve(session, opening.ask(session, once, reason="old", actor=LIN, now=START), reason=None, actor=WEI, now=START)
    run(session, once)
    # By phone instead of by card it is the same balance, also when the records were one person's and have been joined since.
    merge.merge(session, second, first, reason="one person", actor=LIN, now=START)
    again = openings.find(session, stage(session, tmp_path / "b.csv", "phone,external_id,points\n+8613800138003,,300\n,P-9,9\n"))
    assert (again.balances, again.known, again.faults) == (0, 2, [])


def test_an_id_that_another_members_balance_has_is_refused_not_passed_over(session, tmp_path):
    opening_id, (first, *_), _ = a_file(session, tmp_path / "a.csv")
    flow.approve(session, opening.ask(session, opening_id, reason="old", actor=LIN, now=START), reason=None, actor=WEI, now=START)
    run(session, opening_id)
    # Another shop's file numbers its rows from one again.
    text = f"id,card_no,external_id,points\n1,,P-9,300\n2,{cards.of_member(session, first).card_no},,50\n"
    view = openings.find(session, stage(session, tmp_path / "b.csv", text))
    assert (view.balances, view.known, view.faults) == (0, 1, [[2, "id", "taken_in_for_another_member"]])


def test_who_left_before_the_file_is_taken_in_gets_no_points(session, tmp_path):
    opening_id, (first, second, third), _ = a_file(session, tmp_path / "a.csv")
    asked = opening.ask(session, opening_id, reason="old", actor=LIN, now=START)
    session.execute(sa.update(Member).where(Member.id == second).values(status="deleted"))
    outcome = flow.approve(session, asked, reason=None, actor=WEI, now=START)
    run(session, opening_id)
    assert [has(session, member_id) for member_id in (first, second, third)] == [350, 0, 9]
    job = transfers.find(session, UUID(outcome["transfer_id"]))
    assert (job.done, job.errors) == (3, 1)


def test_a_file_without_the_columns_is_refused_as_a_whole(session, tmp_path):
    with pytest.raises(SheetRefusedError, match=r"old.csv lacks these columns: card_no / phone / external_id"):
        stage(session, tmp_path / "a.csv", "name,points\nLin,5\n")


@pytest.mark.committing
def test_two_files_with_the_same_rows_taken_in_by_two_workers_each_give_the_points_once(core, tmp_path):
    def prepare(session):
        opening_id, members, text = a_file(session, tmp_path / "a.csv")
        # The second file knows a row of the first by its id, with other points: whoever comes second refuses that row alone.
        other = stage(session, tmp_path / "b.csv", text.replace(",700,", ",701,"), "b.csv")
        for one in (opening_id, other):
            flow.approve(session, opening.ask(session, one, reason="old", actor=LIN, now=START), reason=None, actor=WEI, now=START)
        return members, (opening_id, other) * 2

    members, files = core.db.run(prepare)

    def work(opening_id):
        while core.db.run(lambda session: openings.take_in(session, opening_id, START, 2)):
            pass

    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(work, files))
    with core.db.reading() as session:
        assert [has(session, member_id) for member_id in members] in ([350, 700, 9], [350, 701, 9])
        jobs = transfers.list_jobs(session, PageRequest()).items
        assert sorted((job.state, job.done, job.errors) for job in jobs) == [("done", 3, 1), ("done", 4, 0)]
        assert queries.prove(session) == []
