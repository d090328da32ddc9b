"""The bank test: many clients move points at once, some die, and every snapshot of the books still adds up.

A snapshot is one statement. In each: Σ of all accounts is zero, and of every member what is cached = Σ postings = Σ lots. At the end every
command that was answered is in the books, once, as it was answered; and what is there beyond was on its way when its client died.
``HUIBAN_TEST_SECONDS`` and ``HUIBAN_TEST_SEED`` make the run longer, or another.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.points import proofs
from server.points.models import PointsEntry
from tests.conftest import START
from tests.factories.points import a_member
from tests.properties.bank import Plan, gift_of, spent_of, work_in_threads
from tests.races.web import environment_of

pytestmark = pytest.mark.committing
SEED = int(os.environ.get("HUIBAN_TEST_SEED", "20261126"))
SECONDS = float(os.environ.get("HUIBAN_TEST_SECONDS", "20"))
ROOT = Path(__file__).parents[2]
GUESTS = 8


def summed(names, condition):
    return ", ".join(f"SUM(CASE WHEN {condition.format(name)} THEN amount ELSE 0 END) AS {name}" for name in names)


def differ(names, found):
    return " OR ".join(f"a.{name} <> COALESCE({found.format(name)}, 0)" for name in names)


SNAPSHOT = f"""
SELECT (SELECT COALESCE(SUM(amount), 0) FROM points_postings) AS total,
 (SELECT COUNT(*) FROM points_accounts a LEFT JOIN (
    SELECT member_id, {summed(["pending", "available", "reserved", "debt"], "account = '{}'")}
    FROM points_postings WHERE member_id IS NOT NULL GROUP BY member_id) p ON p.member_id = a.member_id
  WHERE {differ(["pending", "available", "reserved"], "p.{}")} OR a.debt_owed <> COALESCE(-p.debt, 0)) AS by_postings,
 (SELECT COUNT(*) FROM points_accounts a LEFT JOIN (
    SELECT member_id, SUM(CASE WHEN state = 'pending' THEN left_ ELSE 0 END) AS pending,
      SUM(CASE WHEN state = 'available' THEN left_ - reserved ELSE 0 END) AS available, SUM(reserved) AS reserved
    FROM points_lots GROUP BY member_id) l ON l.member_id = a.member_id
  WHERE {differ(["pending", "available", "reserved"], "l.{}")}) AS by_lots,
 (SELECT COUNT(*) FROM points_lots WHERE left_ < 0 OR left_ > amount) AS beyond,
 (SELECT COUNT(*) FROM points_entries) AS entries
"""


class Auditor:
    """Reads the books in snapshots while others write."""

    def __init__(self, engine):
        level = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._engine = engine.execution_options(huiban_reading=True, **level)
        self.snapshots = 0
        self.entries = 0

    def look(self):
        with self._engine.connect() as connection, connection.begin():
            found = connection.execute(sa.text(SNAPSHOT)).one()
        assert (int(found.total), found.by_postings, found.by_lots, found.beyond) == (0, 0, 0, 0)
        self.snapshots += 1
        self.entries = found.entries


def a_plan(core, folder, *, members, processes, threads):
    with core.db.transaction() as session:
        ids = [str(a_member(session, now=START, points=100)) for _ in range(members)]
    return Plan(str(folder), ids, GUESTS, time.time(), processes, threads, SEED)


def check_what_was_done(core, folder, in_flight):
    """What was answered is in the books once; what was not answered died on its way."""
    told = {tuple(line.split()) for path in folder.glob("*.done") for line in path.read_text().splitlines()}
    with core.db.reading() as session:
        assert proofs.prove(session) == []
        rows = session.execute(sa.select(PointsEntry).where(PointsEntry.source_namespace == "bank")).scalars().all()
    kept = {(row.source_key, str(row.id), str(row.points)) for row in rows}
    assert len({row.source_key for row in rows}) == len(rows), "a source made two entries"
    assert told <= kept, f"answered and lost: {sorted(told - kept)[:3]}"
    assert len(kept - told) <= in_flight
    taken = {}
    for row in rows:
        kind, _, number = row.source_key.partition(":")
        if kind in {"gift", "spend"}:
            assert abs(row.points) == (gift_of if kind == "gift" else spent_of)(int(number)), row.source_key
        if row.reverses_id is not None:
            taken[row.reverses_id] = taken.get(row.reverses_id, 0) + abs(row.points)
    size = {row.id: abs(row.points) for row in rows}
    assert all(size[entry_id] >= count for entry_id, count in taken.items()), "more was taken back than was there"
    return len(rows)


def busy_threads(core, plan, look, *, seconds):
    """Let the clients of one process work for so long, and look all the while and once more when they have ended."""
    stopping = threading.Event()
    threads = work_in_threads(core.db, plan, "client", stopping)
    try:
        while time.time() - plan.began < seconds:
            look()
            time.sleep(0.05)
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    look()


def test_every_snapshot_adds_up_while_clients_move_points(core, tmp_path):
    plan = a_plan(core, tmp_path, members=16, processes=1, threads=4 if core.db.engine.dialect.name == "sqlite" else 12)
    auditor = Auditor(core.db.engine)
    busy_threads(core, plan, auditor.look, seconds=1.5)
    assert check_what_was_done(core, tmp_path, in_flight=0) > 20


@pytest.mark.full
def test_every_snapshot_adds_up_while_clients_are_killed(core, tmp_path):
    if core.db.engine.dialect.name == "sqlite":
        pytest.skip("one writer at a time: nothing to race for")
    plan = a_plan(core, tmp_path, members=40, processes=8, threads=8)
    auditor, log = Auditor(core.db.engine), tmp_path / "bank.log"
    kills = killed_tellers(core, plan, tmp_path, log, auditor.look, random.Random(SEED))
    assert not re.search(r"Traceback", log.read_text()), log.read_text()[-3000:]
    time.sleep(0.5)  # what died in the middle is rolled back when the server notices
    auditor.look()
    entries = check_what_was_done(core, tmp_path, in_flight=kills * plan.threads)
    assert kills >= SECONDS / 3
    assert auditor.snapshots >= SECONDS / 2
    print(f"\n{core.db.engine.dialect.name}: {entries} entries by 64 clients, {auditor.snapshots} snapshots, {kills} kills, seed {SEED}")


def killed_tellers(core, plan, folder, log, look, die):
    """Let tellers work for ``SECONDS``, kill one of them each second or so, and look all the while; return how many were killed."""
    kills = 0
    with log.open("wb") as output:
        command = [sys.executable, "-m", "tests.properties.bank", plan.save()]
        bank = subprocess.Popen(command, cwd=ROOT, env=environment_of(core.settings), stdout=output, stderr=output)
    try:
        patience = time.monotonic() + 120
        while not list(folder.glob("*.done")):
            assert bank.poll() is None, log.read_text()
            assert time.monotonic() < patience, log.read_text()[-3000:]
            time.sleep(0.05)
        began = time.monotonic()
        next_kill = began + 1
        while time.monotonic() - began < SECONDS:
            look()
            time.sleep(0.05)
            if time.monotonic() >= next_kill:
                tellers = Path(f"/proc/{bank.pid}/task/{bank.pid}/children").read_text().split()
                os.kill(int(die.choice(tellers)), signal.SIGKILL)
                kills += 1
                next_kill = time.monotonic() + die.uniform(0.5, 1.5)
        bank.terminate()
        assert bank.wait(timeout=60) == 0
    finally:
        bank.kill()
        bank.wait()
    return kills
