"""The shop test: claims, codes, locks, redemptions, refunds, gifts and sweeps at once, some clients die, and every snapshot adds up.

A snapshot is one statement. In each, of every template: issued = coupons there are (one that was given away stands for none), never beyond
stock, and the budget is what its coupons can still cost; of every batch: claims = coupons; offers and coupons tell the same. At the end every
coupon's life is a path of allowed steps that ends where the coupon stands, and what was answered is there.
``HUIBAN_TEST_SECONDS`` and ``HUIBAN_TEST_SEED`` make the run longer, or another.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter, defaultdict

import pytest
import sqlalchemy as sa

from server.coupons import service
from server.coupons.models import Coupon, CouponTransition
from server.coupons.rules.codes import BatchDraft, BatchKind
from server.coupons.rules.states import COUPON_EDGES, TERMINAL, CouponState
from server.coupons.rules.terms import Validity
from tests.conftest import START
from tests.factories.coupons import STAFF, a_template, some_terms
from tests.factories.points import a_member
from tests.properties.bank import Plan
from tests.properties.test_bank import SECONDS, SEED, busy_threads, killed_tellers

pytestmark = pytest.mark.committing
STOCK, BUDGETED, CODES, WORDS = 260, 200, 60, 90
PER_MEMBER = 3
HOLDS = "'issued','locked','redeemed','offered'"
SNAPSHOT = f"""
SELECT
 (SELECT COUNT(*) FROM coupon_templates t LEFT JOIN (
    SELECT template_id, SUM(CASE WHEN state <> 'given' THEN 1 ELSE 0 END) AS there,
      SUM(CASE WHEN state IN ({HOLDS}) THEN committed_fen ELSE 0 END) AS held
    FROM coupons GROUP BY template_id) c ON c.template_id = t.id
  WHERE t.issued <> COALESCE(c.there, 0) OR t.budget_committed_fen <> COALESCE(c.held, 0) OR t.issued > t.stock) AS templates,
 (SELECT COUNT(*) FROM (
    SELECT 1 AS one FROM coupons c JOIN coupon_templates t ON t.id = c.template_id WHERE t.per_member IS NOT NULL
    GROUP BY c.template_id, c.member_id, c.source_namespace = 'coupons.gift', t.per_member HAVING COUNT(*) > t.per_member) m) AS members,
 (SELECT COUNT(*) FROM coupon_code_batches b WHERE b.claimed <>
    (SELECT COUNT(*) FROM coupons c WHERE c.template_id = b.template_id AND c.source_namespace = 'coupons.code')) AS batches,
 (SELECT COUNT(*) FROM coupons c WHERE (c.state = 'offered') <> EXISTS (SELECT 1 FROM coupon_gifts g WHERE g.open_slot = c.id)) AS offers,
 (SELECT COUNT(*) FROM coupons c WHERE (c.state = 'given') <>
    EXISTS (SELECT 1 FROM coupon_gifts g WHERE g.coupon_id = c.id AND g.state = 'accepted')) AS gifts,
 (SELECT COUNT(*) FROM coupons) AS coupons
"""


class Auditor:
    """Reads the shop in snapshots while others write."""

    def __init__(self, engine):
        level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._engine = engine.execution_options(huiban_reading=True, **level)
        self.snapshots = 0

    def look(self):
        with self._engine.connect() as connection, connection.begin():
            found = connection.execute(sa.text(SNAPSHOT)).one()
        assert tuple(found)[:-1] == (0,) * 5, dict(found._mapping)
        self.snapshots += 1


def a_plan(core, folder, *, members, processes, threads):
    with core.db.transaction() as session:
        ids = [str(a_member(session, now=START)) for _ in range(members)]
        templates = {
            "claimed": a_template(
                session, now=START, terms=some_terms(giftable=True, return_grace_days=1), validity=Validity(days=3), stock=STOCK,
                budget_fen=2000 * BUDGETED, per_member=PER_MEMBER,
            ),
            "issued": a_template(session, now=START, validity=Validity(days=2), stock=STOCK, per_member=None),
            "coded": a_template(session, now=START, validity=Validity(days=4), stock=CODES, per_member=None),
            "worded": a_template(session, now=START, stock=WORDS + 10, per_member=None),
        }  # fmt: skip
        unique = service.make_batch(session, BatchDraft(templates["coded"], BatchKind.UNIQUE, CODES), actor=STAFF, now=START)
        word = BatchDraft(templates["worded"], BatchKind.SHARED, WORDS, "SHOP2026", per_member=None)
        service.make_batch(session, word, actor=STAFF, now=START)
    while core.db.run(lambda session: service.make_codes(session, unique, START)):
        pass
    with core.db.transaction() as session:
        codes = list(service.open_file(session, unique, reason="test", actor=STAFF, now=START).codes())
    facts = {"templates": {name: str(each) for name, each in templates.items()}, "codes": codes, "word": word.word}
    return Plan(str(folder), ids, 1, time.time(), processes, threads, SEED, "tests.properties.shop:Client", facts)


def check_lives(core, folder):
    """Every coupon's steps are allowed, one after the other, and end where it stands; what was answered is there."""
    with core.db.reading() as session:
        coupons = {row.id: row for row in session.scalars(sa.select(Coupon))}
        steps = defaultdict(list)
        for row in session.scalars(sa.select(CouponTransition).order_by(CouponTransition.id)):
            steps[row.coupon_id].append(row)
    for coupon_id, coupon in coupons.items():
        state, redeemed = None, 0
        for step in in_sequence(steps[coupon_id]):
            sources, target = COUPON_EDGES[step.event]
            assert (step.from_state, state in sources, step.to_state) == (state, True, target.value), (step.event, state)
            state = CouponState(step.to_state)
            redeemed += (step.event == "redeem") - (step.event in {"return", "return_late"})
            assert redeemed in {0, 1}, "redeemed twice"
        assert (coupon.state, coupon.version) == (state, len(steps[coupon_id]))
    told = [line.split() for path in folder.glob("*.done") for line in path.read_text().splitlines()]
    kept = {(step.event, str(coupon_id)) for coupon_id, rows in steps.items() for step in rows}
    assert {(line[0], line[1]) for line in told} <= kept, "answered and lost"
    used = Counter((str(coupon_id), step.external_no) for coupon_id, rows in steps.items() for step in rows if step.event == "redeem")
    assert {(line[1], line[2]) for line in told if line[0] == "redeem"} <= set(used)
    return len(coupons), Counter(step.event for rows in steps.values() for step in rows)


def in_sequence(rows):
    """Order a coupon's steps as they followed one another: ids that two processes make in one millisecond may stand either way round."""
    left, state, found = list(rows), None, []
    while left:
        fitting = [one for one in left if one.from_state == state]
        assert fitting, [(one.event, one.from_state) for one in rows]
        # What nothing follows comes last.
        step = next((one for one in fitting if one.to_state not in TERMINAL), fitting[0])
        left.remove(step)
        found.append(step)
        state = step.to_state
    return found


def test_every_snapshot_adds_up_while_a_shop_is_busy(core, tmp_path):
    plan = a_plan(core, tmp_path, members=12, processes=1, threads=4 if core.db.engine.dialect.name == "sqlite" else 10)
    auditor = Auditor(core.db.engine)
    busy_threads(core, plan, auditor.look, seconds=2.5)
    coupons, events = check_lives(core, tmp_path)
    assert coupons > 20
    assert set(events) >= {"issue", "lock", "redeem", "return", "offer"}, events


@pytest.mark.full
def test_every_snapshot_adds_up_while_a_shops_clients_are_killed(core, tmp_path):
    sqlite = core.db.engine.dialect.name == "sqlite"
    plan = a_plan(core, tmp_path, members=40, processes=3 if sqlite else 8, threads=3 if sqlite else 8)
    auditor, log = Auditor(core.db.engine), tmp_path / "shop.log"
    kills = killed_tellers(core, plan, tmp_path, log, auditor.look, random.Random(SEED))
    assert not re.search(r"Traceback", log.read_text()), log.read_text()[-3000:]
    time.sleep(0.5)  # what died in the middle is rolled back when the server notices
    auditor.look()
    coupons, events = check_lives(core, tmp_path)
    assert kills >= SECONDS / 3
    assert set(events) >= {"issue", "lock", "unlock", "redeem", "return", "offer", "give", "take_back", "void"}, events
    print(f"\n{core.db.engine.dialect.name}: {coupons} coupons, {dict(events)}, {auditor.snapshots} snapshots, {kills} kills, seed {SEED}")
