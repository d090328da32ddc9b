"""The pages of messages on PostgreSQL with a million members, a million allowances and a million messages, and the jobs behind them.

Prints milliseconds. The pages' figures must not grow with the tables: they read sums, and short ranges of an index.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

sys.path.insert(0, str(Path(__file__).parents[1]))

import sqlalchemy as sa
from sqlalchemy.orm import Session

from bench.harness import postgres_url
from server.bootstrap import load_models
from server.kernel.clock import business_date
from server.kernel.engines import make_engine
from server.kernel.pagination import PageRequest
from server.migrations.runner import upgrade
from server.notifications import queries
from server.notifications.queries import MessageFilter
from server.notifications.templates import REGISTRY
from server.reporting import messages, reach

COUNT = 1_000_000
TURNS = 30
APPID = "wxdemo0000000000"
CODES = sorted(REGISTRY)

MEMBERS = """
INSERT INTO members (id, status, gender, interests, joined_via, joined_at, updated_at)
SELECT gen_random_uuid(), CASE WHEN n % 50 = 0 THEN 'frozen' ELSE 'active' END, 'unknown', '[]', 'wechat', :now, :now
FROM generate_series(1, :count) n"""
IDENTITIES = """
INSERT INTO member_identities (id, member_id, channel, external_index, external_sealed, created_at)
SELECT gen_random_uuid(), id, :channel, id::text, 'x', :now FROM members WHERE random() < 0.8"""
LEVELS = """
INSERT INTO tiers (id, code, name, tier_rank, points_multiplier_percent, face, benefits)
VALUES (gen_random_uuid(), 'basic', 'basic', 0, 100, '{}', '[]'), (gen_random_uuid(), 'gold', 'gold', 1, 100, '{}', '[]')"""
TIERS = """
INSERT INTO member_tiers (member_id, tier_id, since)
SELECT id, (SELECT id FROM tiers WHERE code = 'gold'), :now FROM members WHERE random() < 0.3"""
CHOICES = """
INSERT INTO notification_preferences (id, member_id, topic, channel, allowed, updated_at)
SELECT gen_random_uuid(), id, 'offers', 'subscribe', false, :now FROM members WHERE random() < 0.05"""
GRANTS = """
INSERT INTO notification_grants (id, member_id, template, available, reserved, updated_at)
SELECT gen_random_uuid(), id, (CAST(:codes AS text[]))[1 + floor(random() * :kinds)::int], floor(random() * 6)::int, 0, :now FROM members"""
MESSAGES = """
INSERT INTO notification_messages
 (id, key, member_id, template, topic, texts, in_inbox, state, reason, attempts, available_at, created_at, updated_at, sent_at)
SELECT gen_random_uuid(), 'k' || n, m.id, (CAST(:codes AS text[]))[1 + floor(random() * :kinds)::int], 'offers', '{}', true,
  CASE WHEN dice < 0.6 THEN 'sent' WHEN dice < 0.93 THEN 'skipped' WHEN dice < 0.97 THEN 'failed' WHEN dice < 0.975 THEN 'uncertain'
       ELSE 'queued' END,
  CASE WHEN dice < 0.6 THEN NULL WHEN dice < 0.93 THEN 'no_grant' WHEN dice < 0.96 THEN 'refused_or_no_grant'
       WHEN dice < 0.97 THEN 'rejected_47003' WHEN dice < 0.975 THEN 'timeout' ELSE NULL END,
  1, made, made, made, CASE WHEN dice < 0.6 THEN made END
FROM (SELECT id, row_number() OVER () AS n, random() AS dice, CAST(:now AS timestamptz) - random() * interval '30 days' AS made FROM members) m"""


def fill(session: Session, now: datetime) -> None:
    """Fill the tables."""
    values = {"now": now, "count": COUNT, "channel": f"wechat:{APPID}", "codes": CODES, "kinds": len(CODES)}
    for statement in (MEMBERS, IDENTITIES, LEVELS, TIERS, CHOICES, GRANTS, MESSAGES):
        session.execute(sa.text(statement), values)
        session.commit()
    session.execute(sa.text("ANALYZE"))
    session.commit()


def timed(name: str, work: Callable[[], Any], turns: int = 1) -> None:
    """Print the median and the 95th percentile of some turns."""
    took = []
    for _ in range(turns):
        begin = time.perf_counter()
        work()
        took.append((time.perf_counter() - begin) * 1000)
    took.sort()
    print(f"{name:48} median {statistics.median(took):9.1f} ms   p95 {took[min(len(took) - 1, int(len(took) * 0.95))]:9.1f} ms", flush=True)


def main() -> None:
    """Measure."""
    load_models()
    now = datetime.now(UTC)
    with postgres_url() as url:
        engine = make_engine(url)
        upgrade(engine)
        with Session(engine, info={"zone": ZoneInfo("Asia/Shanghai")}) as session:
            fill(session, now)
        with Session(engine, info={"zone": ZoneInfo("Asia/Shanghai")}) as session:

            def every_hour() -> None:
                for hour in messages.changed_hours(session, now=now):
                    messages.sum_up_hour(session, hour)
                messages.move_mark(session, now)
                session.commit()

            def build() -> None:
                reach.build(session, appid=APPID, now=now)
                session.commit()

            def changed() -> None:
                hour = messages.hour_of(now)
                session.execute(
                    sa.text("UPDATE notification_messages SET updated_at = :now WHERE created_at >= :hour"), {"now": now, "hour": hour}
                )
                session.commit()
                every_hour()

            timed("job: all hours of 30 days, the first time", every_hour)
            timed("job: the present hour again", changed)
            timed("job: whom each message reaches", build)
            timed("job: the same again", build)
            for days in (1, 7, 30):
                timed(f"page: flow of {days} days", lambda days=days: messages.flow(session, timedelta(days=days), now=now), TURNS)
            timed("page: what waits", lambda: messages.waiting(session, now=now), TURNS)
            timed("watch: the alarms", lambda: messages.watched(session, now=now), TURNS)
            timed("page: forecast of every message", lambda: reach.forecasts(session), TURNS)
            timed("page: forecast of one by tier", lambda: reach.by_tier(session, CODES[0]), TURNS)
            today = business_date(now, ZoneInfo("Asia/Shanghai"))
            timed("page: allowances of 30 days", lambda: reach.allowances(session, first=today - timedelta(29), last=today), TURNS)
            lists = {
                "all": MessageFilter(),
                "failed": MessageFilter(state="failed"),
                "failed, a reason": MessageFilter(state="failed", reason="rejected_47003"),
                "uncertain": MessageFilter(state="uncertain"),
                "skipped, of one message": MessageFilter(state="skipped", template=CODES[0]),
                "a reason nobody has, 30 days": MessageFilter(state="failed", reason="quota", since=now - timedelta(days=30)),
            }
            for name, wanted in lists.items():
                timed(f"list: {name}", lambda wanted=wanted: queries.messages(session, wanted, PageRequest(limit=20)), TURNS)
        engine.dispose()


if __name__ == "__main__":
    main()
