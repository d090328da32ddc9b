from __future__ import annotations

import random
from pathlib import Path

import sqlalchemy as sa

from server.kernel.actors import SystemActor
from server.members.models import Member
from server.partners import queries as partners
from tasks.demo import DemoContext
from tasks.demo import members as demo_members
from tasks.demo import partners as demo_partners


def test_the_demonstration_has_people_in_every_state_of_knowledge(core, clock):
    def load():
        demo = DemoContext(clock.now(), random.Random(1), SystemActor("demo"), Path(), core)
        with core.db._session(core.db.engine) as session:
            demo_members.load(session, demo)
            demo_partners.load(session, demo)
            demo_partners.load(session, demo)
            rows = session.scalars(sa.select(Member).order_by(Member.joined_at)).all()
            names = [view.name for view in partners.list_partners(session)]
            key = partners.key(session, demo.credentials["partner"]["key"])
            session.expunge_all()
        return demo, rows, names, key

    demo, rows, names, key = load()
    assert len(rows) == len(demo.members) == 120
    assert len(names) == 3
    assert key.secret == demo.credentials["partner"]["secret"]
    assert sum(row.phone_index is not None for row in rows) > 90
    assert {"solar", "lunar", None} == {row.birthday_calendar for row in rows}
    assert all(row.joined_at < clock.now() for row in rows)
    again, rows_again, _, _ = load()
    assert [row.nickname for row in rows] == [row.nickname for row in rows_again]
    assert again.credentials["openids"] == demo.credentials["openids"]
