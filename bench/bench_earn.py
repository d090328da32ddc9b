"""Earning points through the full product path, against pgbench running the product's own statements prepared."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import uuid
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from harness import CONNECTIONS, ROOT, drive, http_request, postgres_url, prepared_core, report, served, settle

from bench.statements import PATH, SCRIPT, signed_headers, stamp
from server.kernel.actors import SystemActor
from server.kernel.db import Base
from server.partners import service as partners
from server.points import service as points

MEMBERS = 2000
PAIRS = 3
REQUESTS = 6000


def fill(core) -> tuple[str, str]:  # noqa: ANN001 - the harness gives it
    """Insert members with known ids and open accounts; return a partner's key and secret."""
    now = datetime.now(UTC)
    table = Base.metadata.tables["members"]
    with core.db.transaction() as session:
        key = partners.create(session, "bench", ["points:write"], actor=SystemActor("bench"), now=now)
        ids = [uuid.UUID(f"00000000-0000-7000-8000-{number:012d}") for number in range(1, MEMBERS + 1)]
        required = {"status": "active", "joined_via": "import", "joined_at": now, "updated_at": now, "interests": []}
        values = {name: value for name, value in required.items() if name in table.c}
        session.execute(sa.insert(table), [{"id": member_id, **values} for member_id in ids])
        for member_id in ids:
            points.open_account(session, member_id, now=now)
    return key.key_id, key.secret


def pgbench(url: str) -> float:
    """Run the script for six seconds and return its transactions a second."""
    parsed = sa.make_url(url)
    command = [
        "pgbench",
        "-n",
        "-M",
        "prepared",
        "-c",
        str(CONNECTIONS),
        "-j",
        "2",
        "-T",
        "6",
        "-f",
        str(SCRIPT),
        "-h",
        parsed.host or "127.0.0.1",
        "-p",
        str(parsed.port or 5432),
        "-U",
        parsed.username or "root",
        parsed.database or "",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    failed = re.search(r"number of failed transactions: (\d+)", done.stdout)
    assert found, done.stdout
    assert not failed or failed.group(1) == "0", done.stdout
    return float(found.group(1))


def main() -> None:
    """Measure pgbench and the product in turn."""
    if shutil.which("pgbench") is None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
        raise SystemExit(f"pgbench is not on the path (found {found}): install postgresql-contrib or add it")
    with postgres_url() as url:
        with prepared_core(url) as core:
            key, secret = fill(core)
        environment = {
            "HUIBAN_DATABASE_URL": url,
            "HUIBAN_RATE_LIMIT": "",
            "HUIBAN_LOG_LEVEL": "ERROR",
            "HUIBAN_DATA_DIR": "/tmp/huiban-bench-data",
        }
        limits, products = [], []
        for pair in range(PAIRS):
            settle(url)
            limits.append(pgbench(url))
            settle(url)
            requests = []
            for number in range(REQUESTS):
                member = f"00000000-0000-7000-8000-{number % MEMBERS + 1:012d}"
                body = json.dumps({"member_id": member, "points": 7, "source": f"{pair}-{number}", "reason": "bench"}).encode()
                requests.append(http_request("POST", PATH, signed_headers(key, secret, body, stamp()), body))
            with served("wsgi:create_app", factory=True, environment=environment, ready="/readyz") as (base, pids):
                products.append(drive(base, pids, lambda n, sent=requests: sent[n] if n < len(sent) else None))
        report("earn", "≥ 0.35", limits, products)


if __name__ == "__main__":
    main()
