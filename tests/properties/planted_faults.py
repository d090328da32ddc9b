"""Plants faults, one at a time, in a copy of the tree, and shows which of the properties' tests turn red.

Run by hand: ``python -m tests.properties.planted_faults [WORD]``; a word picks the faults whose names have it. The engines are those whose test
URLs are given; a lock that is missing shows on PostgreSQL and MariaDB only, since SQLite has one writer at a time.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.properties import planted_coupon_faults
from tests.properties.faults import Fault

ROOT = Path(__file__).parents[2]
BOOKS, LEDGER, SERVICE = "server/points/books.py", "server/points/ledger.py", "server/points/service.py"
DUE, MERGING, RESERVATIONS = "server/points/due.py", "server/points/merging.py", "server/points/reservations.py"
MACHINE = "tests/properties/test_book_machine.py"
BANK = "tests/properties/test_bank.py"
RULES = "tests/properties/test_rules_machine.py"
RACES = "tests/points/test_service.py"


LOOK_UP = (BOOKS, '    row = _REPLAY.one_or_none(session, {"namespace": source.namespace, "key": source.key})', "    row = None")
UNIQUE = (
    "server/migrations/versions/0012_points.py",
    "    sa.UniqueConstraint('source_namespace', 'source_key', name=op.f('uq_points_entries_source_namespace_source_key'))",
    "    sa.CheckConstraint('1 = 1', name='nothing')",
)
TAKEN = (BOOKS, "    return int(total or 0)", "    return 0 * int(total or 0)")

FAULTS = (
    Fault(
        "no lock on a member's account",
        (BANK, RACES),
        (
            (
                BOOKS,
                '    .where(_ACCOUNTS.c.member_id == sa.bindparam("member_id", type_=UuidType()))\n    .with_for_update()',
                '    .where(_ACCOUNTS.c.member_id == sa.bindparam("member_id", type_=UuidType()))',
            ),
        ),
        servers=True,
    ),
    Fault(
        "no lock where sweeps and merges lock several accounts",
        (BANK, RACES),
        ((BOOKS, "        .order_by(columns.member_id)\n        .with_for_update()", "        .order_by(columns.member_id)"),),
        servers=True,
    ),
    Fault("the latest expiry is spent first", (MACHINE,), ((BOOKS, "columns.expires_at, columns.created", "columns.expires_at.desc(), columns.created"),)),
    Fault("the youngest of two equal lots is spent first", (MACHINE,), ((BOOKS, "columns.created_at, columns.id)", "columns.created_at.desc(), columns.id.desc())"),)),
    Fault("a source is looked up no more", (MACHINE, BANK), (LOOK_UP,)),
    Fault("a source need not be unique", (RACES,), (UNIQUE,), servers=True),
    Fault("a source is neither looked up nor unique", (MACHINE, BANK), (LOOK_UP, UNIQUE)),
    Fault("a spending is given back again and again", (MACHINE, BANK), (TAKEN,)),
    Fault("a refund takes again what earlier ones took", (MACHINE,), (("server/flows/intake.py", "max(target - taken, 0)", "max(target, 0)"),)),
    Fault(
        "points of a refund forget what was refunded before",
        (RULES,),
        (("server/points/rules/refunds.py", "refunded_before_fen + refund_fen) - before", "refunded_before_fen + refund_fen)"),),
    ),
    Fault("a refund goes back into the wrong lot", (MACHINE,), ((SERVICE, "for lot in reversed(lots):", "for lot in lots:"),)),
    Fault("points set aside expire", (MACHINE,), ((DUE, "    points = lot.free\n", "    points = lot.left\n"),)),
    Fault("a lot that is over is spent", (MACHINE,), ((DUE, "    return [lot for lot in lots if not lot.expired(now)]", "    return list(lots)"), (DUE, "        if lot.expired(now) and lot.free:\n            journal", "        if False:\n            journal"))),
    Fault("what is earned repays nothing", (MACHINE,), (("server/points/accruals.py", "min(account.debt_owed, count)", "0"),)),
    Fault("what unlocks repays nothing", (MACHINE,), ((DUE, "min(account.debt_owed, points)", "0"),)),
    Fault(
        "a refund is refused once points were taken by hand",
        (MACHINE,),
        (("server/flows/intake.py", "    count = min(count, points.left_of_entry(session, order.points_entry_id))\n", ""),),
    ),
    Fault("a cancelled order keeps the points that it was paid with", (MACHINE,), (("server/flows/intake.py", "if order.member_id is None or not order.points_redeemed:", "if order.member_id is None or order.points_redeemed:"),)),
    Fault("a merge leaves the debt behind", (MACHINE,), ((MERGING, 'balances["debt"] = -leaving.debt_owed', 'balances["debt"] = 0'),)),
    Fault("a release sets twice as much free", (MACHINE, BANK), ((RESERVATIONS, "0 if released else -part, -part)", "0 if released else -part, 0)"),)),
    Fault("the loosest cap counts", (RULES,), (("server/points/rules/earning.py", "= min(caps, key", "= max(caps, key"),)),
    Fault("the remainder goes to the last line", (RULES,), (("server/kernel/amounts.py", "(-remainders[place], place)", "(-remainders[place], -place)"),)),
    Fault("half a point is rounded down", (RULES,), (("server/points/rules/kinds.py", "(2 * numerator + denominator) //", "(2 * numerator + denominator - 1) //"),)),
    Fault("a month ends a day late", (RULES,), (("server/points/rules/policies.py", "1) - timedelta(days=1), zone)", "1), zone)"),)),
    Fault(
        "a posting is booked twice",
        (MACHINE, BANK),
        ((LEDGER, "            owner.change(account, amount)", "            owner.change(account, 2 * amount)"),),
    ),
)  # fmt: skip


def copied(folder):
    ignore = shutil.ignore_patterns("__pycache__", ".*", "var")
    for name in ("server", "tests", "config", "tasks", "admin", "miniprogram_api", "examples", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "wsgi.py"):
        shutil.copy(ROOT / name, folder / name)


def red_tests(folder, fault):
    """Return the tests that a fault turns red, each with its engine."""
    for file, right, wrong in fault.changes:
        path = folder / file
        text = path.read_text()
        assert text.count(right) == 1, f"{fault.name}: {file} has the text {text.count(right)} times"
        path.write_text(text.replace(right, wrong))
    try:
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "-m", "not full", *fault.tests]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        if fault.servers:
            command += ["-k", "race or snapshot or side_by_side or at_once or many or same_source"]
        else:
            environment["HUIBAN_TEST_ENGINES"] = "sqlite"
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    finally:
        for file, _, _ in fault.changes:
            shutil.copy(ROOT / file, folder / file)
    # A test that could not begin tells nothing about the fault.
    said = done.stdout[-3000:] + done.stderr[-3000:]
    assert done.returncode in {0, 1}, said
    assert re.search(r"\d (passed|failed)", done.stdout.splitlines()[-1]), said
    return re.findall(r"^FAILED \S*/(test_\w+\.py::\S+)", done.stdout, re.MULTILINE)


def main():
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    survived = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        copied(folder)
        for fault in (*FAULTS, *planted_coupon_faults.FAULTS):
            if word not in fault.name:
                continue
            red = red_tests(folder, fault)
            print(f"{fault.name:58} {'SURVIVED' if not red else red[0]}", flush=True)
            for name in red[1:]:
                print(f"{'':58} {name}", flush=True)
            survived += [] if red else [fault.name]
    print(f"{len(survived)} survived: {survived}" if survived else "each was caught")
    return bool(survived)


if __name__ == "__main__":
    sys.exit(main())
