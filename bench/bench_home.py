"""Member home in one call, live data, against a Flask hello on the same server."""

from __future__ import annotations

from datetime import UTC, datetime

from harness import drive, http_request, postgres_url, prepared_core, report, served, settle

from server.kernel.actors import SystemActor
from server.kernel.amounts import Points
from server.kernel.source import Source
from server.members import service as members
from server.points import service as points

MEMBERS = 400
PAIRS = 3


def main() -> None:
    """Fill a database, then measure hello and home in turn."""
    with postgres_url() as url:
        tokens = []
        now = datetime.now(UTC)
        with prepared_core(url) as core:
            for number in range(MEMBERS):
                with core.db.transaction() as session:
                    login = members.login_with_wechat(
                        session, appid="wxdemo0000000000", openid=f"bench-{number:06d}", unionid=None, client=None, address=None, now=now
                    )
                    points.accrue(
                        session,
                        login.member_id,
                        Points(100 + number),
                        source=Source("bench", f"seed:{number}"),
                        reason="seed",
                        actor=SystemActor("bench"),
                        now=now,
                    )
                    tokens.append(login.access_token)
        requests = [http_request("GET", "/api/v1/me", {"Authorization": f"Bearer {token}"}) for token in tokens]
        hello_request = http_request("GET", "/")
        environment = {
            "HUIBAN_DATABASE_URL": url,
            "HUIBAN_RATE_LIMIT": "",
            "HUIBAN_LOG_LEVEL": "ERROR",
            "HUIBAN_DATA_DIR": "/tmp/huiban-bench-data",
        }
        limits, products = [], []
        for _ in range(PAIRS):
            settle(url)
            with served("bench.hello:app", factory=False) as (base, pids):
                drive(base, pids, lambda _: hello_request, seconds=1)
                limits.append(drive(base, pids, lambda _: hello_request).rate)
            with served("wsgi:create_app", factory=True, environment=environment, ready="/readyz") as (base, pids):
                drive(base, pids, lambda n: requests[n % MEMBERS], seconds=1)
                products.append(drive(base, pids, lambda n: requests[n % MEMBERS]))
        report("home", "≥ 0.45, p99 ≤ 25 ms", limits, products)


if __name__ == "__main__":
    main()
