"""The page of the flow of messages: what was made within a time and became of it, and what waits at this moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask import request
from flask_babel import gettext

from admin import charts, formats
from admin.detail import DetailPage, Figure, Panel
from admin.listing import Column, RowAction, Table
from admin.views.message_words import STATES, message_label, reason_text
from server.kernel.text import N_
from server.reporting.message_rules import MOST_UNCERTAIN, OLDEST_WAITING
from server.reporting.messages import HOUR, MOST_COUNTED, Flow, Waiting
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from admin.base import ConsoleView


@dataclass(frozen=True, slots=True)
class Window:
    """A time to look at: its length, and how long one step of its chart is."""

    label: str
    span: timedelta
    step: timedelta


WINDOWS = {
    "24h": Window(N_("24 hours"), timedelta(hours=24), HOUR),
    "7d": Window(N_("7 days"), timedelta(days=7), HOUR),
    "30d": Window(N_("30 days"), timedelta(days=30), timedelta(days=1)),
}
_USUAL = "7d"
_TAKEN_IN = ("sent", "delivered")
_TRIED = (*_TAKEN_IN, "failed", "uncertain", "sending")
_SUMMED_LATE = timedelta(minutes=5)


def window_asked() -> str:
    """Return which window the request asks for; a week unless it names one."""
    asked = request.args.get("within", _USUAL)
    return asked if asked in WINDOWS else _USUAL


class FlowPage:
    """Puts the page together.

    Arguments:
        view: whose page it is.
        within: which window.
        found: its sums.
        standing: what waits now.
        at: present instant.
    """

    def __init__(self, view: ConsoleView, within: str, found: Flow, standing: Waiting, at: datetime) -> None:
        self._view, self._within, self._found, self._standing, self._at = view, within, found, standing, at

    def render(self, undecided: Table) -> str:
        """Return the page's HTML, with the table of messages that a person has to decide."""
        found = self._found
        made = sum(found.states.values())
        tried, taken = self._sum(*_TRIED), self._sum(*_TAKEN_IN)
        steps = [
            (N_("Made"), made),
            (N_("For the push"), made - self._sum("skipped")),
            (N_("Tried"), tried),
            (N_("Taken in by WeChat"), taken),
            (N_("Arrived"), self._sum("delivered")),
        ]
        page = DetailPage(
            title=self._view.title,
            subtitle=gettext("Messages made within %(window)s", window=gettext(WINDOWS[self._within].label)),
            notice=self._notice(),
            buttons=[RowAction(N_("All messages"), self._view.url_to("list_all"), Permission.MESSAGES_READ, icon="list")],
            figures=self._figures(made, tried, taken),
            panels=[
                Panel(N_("Messages by hour") if self._step == HOUR else N_("Messages by day"), chart=self._chart()),
                Panel(N_("Waiting for a decision"), table=undecided),
                Panel(N_("By message"), table=self._by_template()),
                Panel(
                    N_("From made to arrived"),
                    chart=charts.funnel(N_("From made to arrived"), steps, tip=N_("Each step holds what came at least so far by now.")),
                ),
                Panel(N_("Why not"), table=self._by_reason()),
            ],
        )
        tabs = [(window.label, self._view.url_to("index", within=code), code == self._within) for code, window in WINDOWS.items()]
        return page.render(self._view, template="console/message_flow.html", windows=tabs, summed_until=found.summed_until)

    @property
    def _step(self) -> timedelta:
        return WINDOWS[self._within].step

    def _sum(self, *states: str) -> int:
        return sum(self._found.states.get(state, 0) for state in states)

    def _notice(self) -> str:
        summed = self._found.summed_until
        if summed is None:
            return N_("The messages have not been summed up yet. This happens every minute while the periodic jobs run.")
        if self._at - summed > _SUMMED_LATE:
            return N_("The sums stand still: the job that makes them has not run for more than five minutes.")
        return ""

    def _figures(self, made: int, tried: int, taken: int) -> list[Figure]:
        standing = self._standing
        age = (self._at - standing.oldest_due_at).total_seconds() if standing.oldest_due_at else 0
        failed = self._sum("failed")
        late = age >= OLDEST_WAITING.total_seconds()
        undecided = "red" if standing.uncertain >= MOST_UNCERTAIN else "orange" if standing.uncertain else ""
        share = f"{taken / tried:.1%}" if tried else "–"
        return [
            Figure(N_("Due now"), _bounded(standing.due), "text", tip=N_("Queued, and their time has come; read this moment.")),
            Figure(
                N_("Oldest waiting"), round(age), "duration",
                tip=N_("Since when the oldest due message could have been sent. An incident opens after fifteen minutes."),
                tone="red" if late else "",
            ),
            Figure(
                N_("Put off"), _bounded(standing.later), "text", tip=N_("Wait for the end of quiet hours, or for their next try."),
            ),
            Figure(
                N_("To be decided"), _bounded(standing.uncertain), "text",
                tip=N_("Nobody knows whether they arrived; never sent again by itself. An incident opens at twenty."), tone=undecided,
            ),
            Figure(N_("Made"), made, tip=N_("Messages put into inboxes within the window, pushed or not.")),
            Figure(
                N_("Success rate"), share, "text",
                tip=N_("Taken in by WeChat, of all that were tried. An incident opens when a tenth of a day's tries fail for good."),
                tone="red" if failed * 10 > tried else "",
            ),
        ]  # fmt: skip

    def _chart(self) -> charts.Chart:
        zone = formats.local(self._at).tzinfo
        buckets: dict[datetime, dict[str, int]] = {}
        hour = self._found.since
        while hour < self._found.until:
            local = hour.astimezone(zone)
            start = local if self._step == HOUR else local.replace(hour=0)
            counts = buckets.setdefault(start, {})
            for state, more in self._found.hours.get(hour, {}).items():
                counts[state] = counts.get(state, 0) + more
            hour += HOUR
        shape = "%m-%d %H:00" if self._step == HOUR and self._within != "24h" else "%H:00" if self._step == HOUR else "%m-%d"

        def number(*states: str) -> list[float | None]:
            return [sum(counts.get(state, 0) for state in states) for counts in buckets.values()]

        return charts.trend(
            N_("Messages by hour"),
            [f"{start:{shape}}" for start in buckets],
            [
                charts.Series(N_("Taken in by WeChat"), number(*_TAKEN_IN), "area"),
                charts.Series(N_("Inbox only"), number("skipped"), "bar"),
                charts.Series(N_("Failed"), number("failed"), "bar"),
                charts.Series(N_("Uncertain"), number("uncertain"), "bar"),
            ],
            tip=N_("By when they were made, in the state they have now."),
        )

    def _by_template(self) -> Table:
        rows = sorted(self._found.templates.items(), key=lambda one: (-sum(one[1].values()), one[0]))

        def number(*states: str) -> Any:
            return lambda row: sum(row[1].get(state, 0) for state in states)

        return Table(
            [
                Column(N_("Message"), lambda row: message_label(row[0]), "link", href=lambda row: self._narrower(template=row[0])),
                Column(N_("Made"), number(*STATES), "number"),
                Column(N_("Waiting"), number("queued", "sending"), "number"),
                Column(N_("Pushed"), number(*_TAKEN_IN), "number", tip=N_("Taken in by WeChat; delivered ones among them.")),
                Column(N_("Arrived"), number("delivered"), "number"),
                Column(N_("Inbox only"), number("skipped"), "number"),
                Column(N_("Failed"), number("failed"), "number"),
                Column(N_("Uncertain"), number("uncertain"), "number"),
            ],
            rows,
            empty=N_("No messages in these days"),
        )

    def _by_reason(self) -> Table:
        rows = sorted(self._found.reasons.items(), key=lambda one: (-one[1], one[0]))
        return Table(
            [
                Column(
                    N_("Reason"), lambda row: reason_text(row[0][1]), "link",
                    href=lambda row: self._narrower(state=row[0][0], reason=row[0][1]),
                ),
                Column(N_("State"), lambda row: row[0][0], "tag", tags=STATES),
                Column(N_("Number of messages"), lambda row: row[1], "number"),
            ],
            rows,
            empty=N_("Everything was pushed"),
        )  # fmt: skip

    def _narrower(self, **wanted: str) -> str:
        return self._view.url_to("list_all", within=self._within, **wanted)


def _bounded(number: int) -> str:
    return f"{number:,}+" if number >= MOST_COUNTED else f"{number:,}"
