"""Members race for half as many coupons over 64 connections, against a bare UPDATE + INSERT in one statement."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import sqlalchemy as sa
from harness import Load, drive, http_request, postgres_url, prepared_core, report, served, settle

from server.bootstrap import Core
from server.coupons import queries, service
from server.coupons.funnel_queries import funnel
from server.coupons.rules.terms import Kind, Limits, TemplateDraft, Terms, Validity
from server.kernel.actors import SystemActor
from server.kernel.db import Base
from server.kernel.ids import new_token, token_hash, uuid7

# The goal is set for 20,000 members; a tenth of them gives the same ratio in two minutes.
MEMBERS = int(os.environ.get("HUIBAN_BENCH_MEMBERS", "2000"))
STOCK = MEMBERS // 2
CONNECTIONS = 64
PAIRS = 3
SECONDS = 300.0


def fill(core: Core) -> list[str]:
    """Insert members who are logged in; return their access tokens."""
    now = datetime.now(UTC)
    later = now + timedelta(hours=2)
    tokens = [new_token() for _ in range(MEMBERS)]
    members, sessions = Base.metadata.tables["members"], Base.metadata.tables["member_sessions"]
    for start in range(0, MEMBERS, 2000):
        people, logins = [], []
        for token in tokens[start : start + 2000]:
            member_id = uuid7()
            people.append(
                {"id": member_id, "interests": [], "gender": "unknown", "status": "active", "joined_via": "import"}
                | {"joined_at": now, "updated_at": now}
            )
            logins.append(
                {"id": uuid7(), "member_id": member_id, "access_hash": token_hash(token), "refresh_hash": token_hash(new_token())}
                | {"access_expires_at": later, "refresh_expires_at": later, "created_at": now, "last_seen_at": now}
            )
        with core.db.transaction() as session:
            session.execute(sa.insert(members), people)
            session.execute(sa.insert(sessions), logins)
    return tokens


def open_template(core: Core) -> uuid.UUID:
    """Publish a template with stock for every second member."""
    actor, now = SystemActor("bench"), datetime.now(UTC)
    draft = TemplateDraft(
        f"race-{uuid7().hex[-12:]}",
        Terms("满100减20", Kind.AMOUNT_OFF, amount_off_fen=2000, threshold_fen=10000),
        Validity(days=30),
        Limits(stock=STOCK),
    )
    with core.db.transaction() as session:
        template = service.create_template(session, draft, actor=actor, now=now)
        service.publish_template(session, template, actor=actor, now=now)
    return template


def race(base: str, pids: list[int], requests: list[bytes]) -> Load:
    """Send every request once."""
    return drive(base, pids, lambda n: requests[n] if n < len(requests) else None, seconds=SECONDS, connections=CONNECTIONS)


def bare(dsn: str) -> float:
    """Run the bare race; return its answers a second."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bare_claims")
        connection.execute("DROP TABLE IF EXISTS bare_templates")
        connection.execute("CREATE TABLE bare_templates (id bigint PRIMARY KEY, left_ bigint CHECK (left_ >= 0))")
        connection.execute("CREATE TABLE bare_claims (template_id bigint, member_id bigint, PRIMARY KEY (template_id, member_id))")
        connection.execute("INSERT INTO bare_templates VALUES (1, %s)", (STOCK,))
    with served("bench.claim_bare:app", factory=False, environment={"HUIBAN_BENCH_DSN": dsn}) as (base, pids):
        load = race(base, pids, [http_request("POST", f"/claims/{number}") for number in range(MEMBERS)])
    assert load.statuses == {201: STOCK, 409: MEMBERS - STOCK}, load.statuses
    return load.rate


def main() -> None:
    """Run the bare race and the product's in turn; the product's books must be exact each time."""
    with postgres_url() as url, prepared_core(url) as core:
        tokens = fill(core)
        dsn = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        environment = {
            "HUIBAN_DATABASE_URL": url,
            "HUIBAN_RATE_LIMIT": "",
            "HUIBAN_LOG_LEVEL": "ERROR",
            "HUIBAN_DATA_DIR": "/tmp/huiban-bench-data",
        }
        limits, products = [], []
        for _ in range(PAIRS):
            settle(url)
            limits.append(bare(dsn))
            template = open_template(core)
            settle(url)
            path = f"/api/v1/coupon-templates/{template}/claims"
            requests = [
                http_request("POST", path, {"Authorization": f"Bearer {token}", "Idempotency-Key": f"{template.hex}"}) for token in tokens
            ]
            with served("wsgi:create_app", factory=True, environment=environment, ready="/readyz") as (base, pids):
                load = race(base, pids, requests)
            assert load.statuses == {201: STOCK, 409: MEMBERS - STOCK}, load.statuses
            with core.db.reading() as session:
                view = queries.find_template(session, template)
                found = funnel(session, template)
            assert (view.issued, view.left, found.issued) == (STOCK, 0, STOCK)
            products.append(load)
        report("claim", "≥ 0.8 of the bare statement, exact, no errors", limits, products)


if __name__ == "__main__":
    main()
