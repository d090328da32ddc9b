from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from server.notifications.rules import GrantEnd, Outcome, State, judge, pause_after, quiet_until

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("outcome", "attempts", "state", "grant"),
    [
        (Outcome("sent", msg_id="1"), 1, State.SENT, GrantEnd.SPEND),
        (Outcome("refused", errcode=43101), 1, State.FAILED, GrantEnd.EMPTY),
        (Outcome("refused", errcode=47003), 1, State.FAILED, GrantEnd.RELEASE),
        (Outcome("not_done", "busy"), 2, State.QUEUED, GrantEnd.RELEASE),
        (Outcome("not_done", "busy"), 3, State.FAILED, GrantEnd.RELEASE),
        (Outcome("not_done", "quota"), 11, State.QUEUED, GrantEnd.RELEASE),
        (Outcome("not_done", "quota"), 12, State.FAILED, GrantEnd.RELEASE),
        (Outcome("misconfigured", "misconfigured"), 1, State.QUEUED, GrantEnd.RELEASE),
        (Outcome("unknown", "timeout"), 1, State.UNCERTAIN, GrantEnd.HOLD),
        (Outcome("something new"), 1, State.UNCERTAIN, GrantEnd.HOLD),
    ],
)
def test_what_follows_from_an_outcome(outcome: Outcome, attempts: int, state: State, grant: GrantEnd) -> None:
    verdict = judge(outcome, attempts)
    assert (verdict.state, verdict.grant) == (state, grant)
    assert (verdict.retry_after is not None) == (state is State.QUEUED)


def test_pauses_double_up_to_an_hour() -> None:
    pauses = [pause_after(n) for n in range(1, 12)]
    assert pauses[:3] == [timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)]
    assert pauses[-1] == timedelta(hours=1)


@pytest.mark.parametrize(
    ("local", "quiet", "until"),
    [
        ((15, 23, 0), (time(22), time(8)), (16, 8)),
        ((15, 3, 0), (time(22), time(8)), (15, 8)),
        ((15, 8, 0), (time(22), time(8)), None),
        ((15, 21, 59), (time(22), time(8)), None),
        ((15, 13, 30), (time(12), time(14)), (15, 14)),
        ((15, 13, 30), (time(0), time(0)), None),
        ((15, 23, 0), None, None),
    ],
)
def test_quiet_hours_run_over_midnight(local: tuple[int, int, int], quiet: tuple[time, time] | None, until: tuple[int, int] | None) -> None:
    now = datetime(2026, 6, *local, tzinfo=ZONE).astimezone(UTC)
    expected = datetime(2026, 6, *until, tzinfo=ZONE) if until else None
    assert quiet_until(now, quiet, ZONE) == expected
