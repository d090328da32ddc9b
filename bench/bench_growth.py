"""What one accrual and one home page cost as the ledger grows: CPU of the web and of its database connections, by size.

Each size is a database of its own, filled by insert-select with whole books that ``points.prove`` finds in order: fifty entries for each member,
forty accruals of which thirty are spent. The sizes are measured in turn, round after round, so that whatever else the machine does meets all of them.
``HUIBAN_BENCH_ENTRIES=10000,100000,1000000,10000000`` asks for others.

Every accrual touches a few pages of each index at a place of its member, so the server's cache must hold them. With ``shared_buffers`` at the 128 MB that
PostgreSQL comes with, a million entries no longer fit, and what reading them back costs shows in the database's share; hence it is printed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import statistics
import time
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from harness import cpu_seconds, drive, http_request, postgres_url, prepared_core, served, settle

from bench.statements import PATH, signed_headers, stamp
from server.kernel.actors import SystemActor
from server.kernel.db import Base
from server.kernel.engines import make_engine
from server.kernel.ids import new_token, token_hash, uuid7
from server.partners import service as partners
from server.points import proofs

SIZES = [int(size) for size in os.environ.get("HUIBAN_BENCH_ENTRIES", "10000,100000,1000000").split(",")]
OF_A_MEMBER = 50
CALLERS = 400
ROUNDS = int(os.environ.get("HUIBAN_BENCH_ROUNDS", "5"))
SECONDS = 3.0
PROVED_UP_TO = 1_000_000

MEMBER = "('00000000' || '0000' || '7000' || '8000' || lpad(to_hex(m), 12, '0'))::uuid"
# Ids begin with the millisecond, as the product's do, so that new rows come at the end of the indexes.
AT_TIME = "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '{}' || '8000' || lpad(to_hex(m), 12, '0'))::uuid"
BOOKS = f"""
SET session_replication_role = replica;
CREATE TEMP TABLE facts AS
  SELECT *, {MEMBER} AS member_id, {AT_TIME.format("7000")} AS entry_id, {AT_TIME.format("7001")} AS lot_id FROM (
    SELECT k, m, k % 5 = 0 AS spends, k - k / 5 AS accruals, k / 5 AS spendings,
      now() - interval '400 days' + ((k - 1) * :members + m) * (interval '365 days' / (50 * :members)) AS at
    FROM generate_series(1, 50) k, generate_series(1, :members) m ORDER BY k, m) told;
CREATE INDEX facts_place ON facts (m, accruals) WHERE NOT spends;
INSERT INTO members (id, status, gender, interests, joined_via, joined_at, updated_at)
  SELECT {MEMBER}, 'active', 'unknown', '[]', 'import', now(), now() FROM generate_series(1, :members) m;
INSERT INTO points_accounts (member_id, pending, available, reserved, debt_owed, version, opened_at)
  SELECT {MEMBER}, 0, 100, 0, 0, 50, now() FROM generate_series(1, :members) m;
INSERT INTO points_entries (id, member_id, kind, points, source_namespace, source_key, fingerprint, reason, available_after, pending_after,
    occurred_at, business_day, actor_kind, actor_ref)
  SELECT entry_id, member_id, CASE WHEN spends THEN 'redeem' ELSE 'accrue' END, CASE WHEN spends THEN -30 ELSE 10 END, 'bench', k || ':' || m,
    md5(k || ':' || m) || md5(m || ':' || k), 'bench', 10 * accruals - 30 * spendings, 0, at, at::date, 'system', 'bench' FROM facts;
INSERT INTO points_postings (entry_id, line, account, member_id, amount)
  SELECT entry_id, 1, CASE WHEN spends THEN 'available' ELSE 'issuer' END, CASE WHEN spends THEN member_id END, CASE WHEN spends THEN -30 ELSE -10 END
  FROM facts;
INSERT INTO points_postings (entry_id, line, account, member_id, amount)
  SELECT entry_id, 2, CASE WHEN spends THEN 'redeemed' ELSE 'available' END, CASE WHEN NOT spends THEN member_id END, CASE WHEN spends THEN 30 ELSE 10 END
  FROM facts;
INSERT INTO points_lots (id, member_id, entry_id, amount, left_, reserved, state, expires_at, created_at)
  SELECT lot_id, member_id, entry_id, 10, CASE WHEN accruals > 30 THEN 10 ELSE 0 END, 0, CASE WHEN accruals > 30 THEN 'available' ELSE 'closed' END,
    at + interval '900 days', at FROM facts WHERE NOT spends;
INSERT INTO points_allocations (entry_id, lot_id, amount, reserved) SELECT entry_id, lot_id, 10, 0 FROM facts WHERE NOT spends;
INSERT INTO points_allocations (entry_id, lot_id, amount, reserved)
  SELECT s.entry_id, a.lot_id, -10, 0 FROM facts s JOIN facts a ON a.m = s.m AND NOT a.spends AND (a.accruals + 2) / 3 = s.spendings WHERE s.spends;
DROP TABLE facts;
SET session_replication_role = DEFAULT;
"""


class Sized:
    """A product on books of one size.

    Arguments:
        url: of its database.
        entries: how many.
    """

    def __init__(self, url: str, entries: int) -> None:
        self.url = url
        self.entries = entries
        self.members = entries // OF_A_MEMBER
        self.costs: dict[str, list[float]] = {"earn web": [], "earn database": [], "home web": [], "home database": []}
        began = time.perf_counter()
        with prepared_core(url) as core:
            now = datetime.now(UTC)
            with core.db.transaction() as session:
                for statement in BOOKS.strip().split(";\n"):
                    session.execute(sa.text(statement.rstrip(";").replace(":members", str(self.members)).replace("::", "\\:\\:")))
                self.callers = self._log_in(session, now)
                key = partners.create(session, "bench", ["points:write"], actor=SystemActor("bench"), now=now)
            self.key, self.secret = key.key_id, key.secret
            with core.db.reading() as session:
                proved = entries <= PROVED_UP_TO
                assert not proved or proofs.prove(session) == []
        settle(url)
        print(f"{entries:>10,} entries filled in {time.perf_counter() - began:.0f} s, {'proved' if proved else 'not proved'}", flush=True)

    def _member(self, number: int) -> str:
        return f"00000000-0000-7000-8000-{number % self.members + 1:012x}"

    def _log_in(self, session, now: datetime) -> list[str]:  # noqa: ANN001 - the core gives it
        tokens = [new_token() for _ in range(min(CALLERS, self.members))]
        until = now + timedelta(hours=6)
        times = {"access_expires_at": until, "refresh_expires_at": until, "created_at": now, "last_seen_at": now}
        spread = self.members // len(tokens)
        rows = [
            {
                "id": uuid7(),
                "member_id": self._member(place * spread),
                "access_hash": token_hash(token),
                "refresh_hash": token_hash(new_token()),
            }
            for place, token in enumerate(tokens)
        ]
        statement = "INSERT INTO member_sessions ({}) VALUES ({})"
        names = [*rows[0], *times]
        assert {column.name for column in Base.metadata.tables["member_sessions"].c if not column.nullable} <= set(names)
        session.execute(sa.text(statement.format(", ".join(names), ", ".join(f":{name}" for name in names))), [row | times for row in rows])
        return tokens

    def measure(self, number: int) -> None:
        """Serve it once and note what each kind of request cost."""
        homes = [http_request("GET", "/api/v1/me", {"Authorization": f"Bearer {token}"}) for token in self.callers]
        die = random.Random(number)
        environment = {
            "HUIBAN_DATABASE_URL": self.url,
            "HUIBAN_RATE_LIMIT": "",
            "HUIBAN_LOG_LEVEL": "ERROR",
            "HUIBAN_DATA_DIR": "/tmp/huiban-bench-data",
        }

        def sale(_number: int) -> bytes:
            body = json.dumps(
                {"member_id": self._member(die.randrange(self.members)), "points": 7, "source": secrets.token_hex(8), "reason": "bench"}
            ).encode()
            return http_request("POST", PATH, signed_headers(self.key, self.secret, body, stamp()), body)

        settle(self.url)
        with served("wsgi:create_app", factory=True, environment=environment, ready="/readyz") as (base, pids):
            for name, request_of in (("earn", sale), ("home", lambda place: homes[place % len(homes)])):
                drive(base, pids, request_of, seconds=1)
                backends = self._backends()
                before = cpu_seconds(backends)
                load = drive(base, pids, request_of, seconds=SECONDS)
                assert set(load.statuses) <= {200, 201}, load.statuses
                self.costs[f"{name} web"].append(load.cpu_us)
                self.costs[f"{name} database"].append((cpu_seconds(backends) - before) / len(load.latencies) * 1e6)

    def _backends(self) -> list[int]:
        engine = make_engine(self.url)
        with engine.connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            found = [row.pid for row in rows]
        engine.dispose()
        return found


def main() -> None:
    """Fill, measure in turn, and print costs with their ratio to the smallest size."""
    with contextlib.ExitStack() as stack:
        sized = [Sized(stack.enter_context(postgres_url()), entries) for entries in SIZES]
        for number in range(ROUNDS):
            for each in sized if number % 2 else reversed(sized):
                each.measure(number)
        with make_engine(sized[0].url).connect() as connection:
            cache = connection.exec_driver_sql("SHOW shared_buffers").scalar_one()
        print(f"\nshared_buffers {cache}")
        print(f"growth  (goal: flat within 15 %; CPU-µs for a request, median of {ROUNDS} rounds, ratio to the smallest)")
        print(f"{'entries':>12} " + "".join(f"{name:>22}" for name in (*sized[0].costs, "earn", "home")))
        first: dict[str, float] = {}
        for each in sized:
            costs = {name: statistics.median(found) for name, found in each.costs.items()}
            for name in ("earn", "home"):
                rounds = zip(each.costs[f"{name} web"], each.costs[f"{name} database"], strict=True)
                costs[name] = statistics.median(sum(both) for both in rounds)
            first = first or costs
            print(f"{each.entries:>12,} " + "".join(f"{cost:>14.0f}  ×{cost / first[name]:<5.2f}" for name, cost in costs.items()))


if __name__ == "__main__":
    main()
