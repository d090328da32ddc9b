"""The periodic jobs: name, when, what.

A job is named as ``module:function`` and called as ``function(core, period)``; it returns how many rows it changed, runs
outside the delivery's transaction in bounded batches of its own, and is safe to run twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

# However long the product was down, no more periods than these are made up for one job at a time.
MOST_MISSED = 400


class Rhythm(Protocol):
    """When a job is due."""

    def latest(self, now: datetime, zone: ZoneInfo) -> datetime:
        """Return the last due instant at or before ``now``."""
        ...

    def following(self, period: datetime, zone: ZoneInfo) -> datetime:
        """Return the due instant after one of them."""
        ...


@dataclass(frozen=True, slots=True)
class Every:
    """Every so many seconds, counted from the epoch, so that all processes agree.

    Arguments:
        seconds: the period.
    """

    seconds: int

    def latest(self, now: datetime, zone: ZoneInfo) -> datetime:  # noqa: ARG002 - the same everywhere on earth
        """Return the last due instant at or before ``now``."""
        return datetime.fromtimestamp(int(now.timestamp()) // self.seconds * self.seconds, UTC)

    def following(self, period: datetime, zone: ZoneInfo) -> datetime:  # noqa: ARG002 - as above
        """Return the due instant after one of them."""
        return period + timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True)
class Daily:
    """Once on each business day, at a time of the shop's clock; right across a change of summer time.

    Arguments:
        at: time of day in the shop's zone.
    """

    at: time

    def latest(self, now: datetime, zone: ZoneInfo) -> datetime:
        """Return the last due instant at or before ``now``."""
        day = now.astimezone(zone).date()
        today = datetime.combine(day, self.at, zone).astimezone(UTC)
        return today if today <= now else datetime.combine(day - timedelta(days=1), self.at, zone).astimezone(UTC)

    def following(self, period: datetime, zone: ZoneInfo) -> datetime:
        """Return the due instant after one of them."""
        day = period.astimezone(zone).date() + timedelta(days=1)
        return datetime.combine(day, self.at, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Job:
    """One periodic job.

    Arguments:
        name: ``domain.verb``, stored with each run; never renamed.
        rhythm: when it is due.
        function: ``module:function``.
        each: every missed period is made up for. Otherwise one run does the work of all, and earlier ones are left out.
    """

    name: str
    rhythm: Rhythm
    function: str
    each: bool = False


MINUTE = Every(60)
HOUR = Every(3600)

JOBS: tuple[Job, ...] = (
    Job("deliveries.sweep", MINUTE, "tasks.jobs.outbox:sweep"),
    Job("points.unlock_due", MINUTE, "tasks.jobs.points:unlock_due"),
    Job("points.release_due", MINUTE, "tasks.jobs.points:release_due"),
    # Spending passes over what has expired by itself, so the books may follow at leisure; hourly keeps the batches small.
    Job("points.expire_due", HOUR, "tasks.jobs.points:expire_due"),
    # At an hour at which a message wakes nobody. What one run cannot do the next days' do: there are three weeks for a notice of 30 days.
    Job("points.remind_expiring", Daily(time(10, 5)), "tasks.jobs.points:remind_expiring"),
    Job("points.prove", Daily(time(3, 30)), "tasks.jobs.points:prove"),
    # Each night, so that a month is closed on the second of the next, or as soon as the product is up again.
    Job("points.close_months", Daily(time(2, 30)), "tasks.jobs.points_months:close_months"),
    Job("points.prove_months", Daily(time(4, 0)), "tasks.jobs.points_months:prove_months"),
    # Soon after the shop's midnight, and again for members whom something held, and after a rule was published.
    Job("tiers.reassess_due", Every(300), "tasks.jobs.tiers:reassess_due"),
    Job("tiers.build_growth", HOUR, "tasks.jobs.tiers:build_growth"),
    Job("tiers.prove", Daily(time(3, 45)), "tasks.jobs.tiers:prove"),
    Job("coupons.release_due", MINUTE, "tasks.jobs.coupons:release_due"),
    Job("coupons.lapse_gifts", MINUTE, "tasks.jobs.coupons:lapse_gifts"),
    Job("coupons.expire_due", Every(300), "tasks.jobs.coupons:expire_due"),
    # At an hour at which a message wakes nobody.
    Job("coupons.remind_expiring", Daily(time(10, 0)), "tasks.jobs.coupons:remind_expiring"),
    # Minutes are early enough for people to act on, and no claim ever waits for it.
    Job("coupons.watch_limits", Every(300), "tasks.jobs.coupons:watch_limits"),
    Job("coupons.forget_seeds", Every(600), "tasks.jobs.coupons:forget_seeds"),
    # At night, when the list's ten thousand a call hinder nobody; the names follow by themselves.
    Job("channels.walk_followers", Daily(time(4, 30)), "tasks.jobs.channels:walk_followers"),
    Job("channels.name_followers", MINUTE, "tasks.jobs.channels:name_followers"),
    Job("rewards.time_out_due", MINUTE, "tasks.jobs.rewards:time_out_due"),
    Job("orders.complete_due", Every(600), "tasks.jobs.orders:complete_due"),
    Job("orders.apply_pending", MINUTE, "tasks.jobs.orders:apply_pending"),
    Job("referrals.reward_due", Every(300), "tasks.jobs.referrals:reward_due"),
    Job("risk.watch_claims", MINUTE, "tasks.jobs.risk:watch_claims"),
    Job("risk.resolve_entries", HOUR, "tasks.jobs.risk:resolve_entries"),
    Job("feedback.close_silent", HOUR, "tasks.jobs.feedback:close_silent"),
    Job("notifications.deliver_due", MINUTE, "tasks.jobs.sending:send_due"),
    Job("notifications.sweep", MINUTE, "tasks.jobs.notifications:sweep"),
    Job("messages.roll_up", MINUTE, "tasks.jobs.message_figures:roll_up"),
    Job("messages.watch", MINUTE, "tasks.jobs.message_figures:watch"),
    # A forecast is planned with, not steered by: the hour keeps its one heavy statement for each topic rare.
    Job("messages.build_reach", HOUR, "tasks.jobs.message_figures:build_reach"),
    Job("messages.sum_up_allowances", Every(300), "tasks.jobs.message_figures:sum_up_allowances"),
    Job("birthdays.celebrate", HOUR, "tasks.jobs.birthdays:celebrate"),
    Job("festivals.celebrate", Every(300), "tasks.jobs.festivals:celebrate"),
    # At an hour at which a message wakes nobody; what one run cannot do, and days that were missed, the next run does.
    Job("triggers.win_back", Daily(time(10, 10)), "tasks.jobs.triggers:win_back"),
    # A segment that staff just wrote or asked for is built within a minute; the others when their lists are as old as they may be.
    Job("segments.build_due", MINUTE, "tasks.jobs.segments:build_due"),
    Job("segments.sweep", HOUR, "tasks.jobs.segments:sweep"),
    Job("approvals.expire_due", HOUR, "tasks.jobs.approvals:expire_due"),
    Job("audit.seal", MINUTE, "tasks.jobs.audit:seal"),
    Job("idempotency.forget", HOUR, "tasks.jobs.outbox:forget_idempotency"),
    Job("outbox.forget", HOUR, "tasks.jobs.outbox:forget_done"),
    Job("members.erase_due", Every(600), "tasks.jobs.privacy:erase_due"),
    Job("screening.ask_due", MINUTE, "tasks.jobs.screening:ask_due"),
    Job("members.delete_held", HOUR, "tasks.jobs.wechat:carry_out_held"),
    # Before the day's work begins, so that a template that went away is seen before a campaign fails by it.
    Job("notifications.sync_templates", Daily(time(8, 30)), "tasks.jobs.wechat:sync_templates"),
    Job("retention.forget", HOUR, "tasks.jobs.retention:forget"),
)


def missed(job: Job, last: datetime | None, now: datetime, zone: ZoneInfo) -> list[datetime]:
    """Return the periods of a job that are due and were not planned yet, oldest first.

    Arguments:
        job: one of the table.
        last: the newest period planned, or None when the job has never run; then only the latest one is due.
        now: present instant.
        zone: the shop's.
    """
    latest = job.rhythm.latest(now, zone)
    if last is None or not job.each:
        return [latest] if last is None or latest > last else []
    periods: list[datetime] = []
    period = job.rhythm.following(last, zone)
    while period <= now and len(periods) < MOST_MISSED:
        periods.append(period)
        period = job.rhythm.following(period, zone)
    return periods
