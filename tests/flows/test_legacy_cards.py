"""A file of old card numbers is looked at first, then taken over; what is refused is listed, and a second run changes nothing."""

from __future__ import annotations

import csv

import pytest
from flask import Flask

from server.cards import queries as cards
from server.kernel.pagination import PageRequest
from server.transfers import queries as transfers
from tasks import commands
from tests.conftest import START
from tests.factories.members import PHONES, a_member, an_unclaimed_member


@pytest.mark.requirement("CARD7")
@pytest.mark.committing
def test_old_numbers_are_taken_over_once_and_each_broken_row_is_listed(core, tmp_path):
    def people(session):
        holder = a_member(session, now=START)
        an_unclaimed_member(session, now=START, phone=PHONES[3])
        an_unclaimed_member(session, now=START, pos_id="P-9")
        return holder, cards.of_member(session, holder).card_no

    holder, card_no = core.db.run(people)
    rows = [
        ["ｖ 1", card_no, "", "", ""],
        ["V2", "", "13800138003", "", ""],
        ["V3", "", "", "pos", "P-9"],
        ["V1", "", "13800138003", "", ""],
        ["V4", card_no, "13800138003", "", ""],
        ["V5", "", "", "", ""],
        ["V6", "999", "", "", ""],
        [card_no, card_no, "", "", ""],
    ]
    table = tmp_path / "cards.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["legacy_no", "card_no", "phone", "channel", "external_id"], *rows])
    app = Flask("tests", root_path=str(tmp_path))
    app.extensions["huiban"] = core
    commands.init_app(app)
    cli = app.test_cli_runner()

    assert "preview: 4 new, 0 unchanged, 4 refused" in cli.invoke(args=["import-legacy-cards", str(table), "--preview"]).output
    with core.db.reading() as session:
        assert cards.legacy_numbers(session, PageRequest(9)).items == []
        assert transfers.list_jobs(session, PageRequest(9)).items == []
    for said in ("3 new, 0 unchanged, 5 refused", "0 new, 3 unchanged, 5 refused"):
        assert said in cli.invoke(args=["import-legacy-cards", str(table)]).output
    with core.db.reading() as session:
        assert cards.by_card_no(session, "v1") == holder
        assert [(job.kind, job.state, job.done, job.errors) for job in transfers.list_jobs(session, PageRequest(9)).items] == [
            ("cards.import", "done", 3, 5)
        ] * 2
    with (tmp_path / "cards.csv.errors.csv").open(encoding="utf-8") as file:
        listed = [(line, reason) for _, line, _, reason in list(csv.reader(file))[1:]]
    assert listed == [
        ("5", "card_no_taken"),
        ("6", "members_differ"),
        ("7", "member_missing"),
        ("8", "member_not_found"),
        ("9", "legacy_number_reserved"),
    ]
