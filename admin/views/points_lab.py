"""Console pages of the rule lab: dry runs of drafts of points rules over past orders, their progress and what came out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired

from admin import charts
from admin.base import ConsoleView, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag, reader_language, translated
from admin.forms import L_, ConsoleForm, DateField, FormPage, FormSection, ManyField
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.points import member_url
from admin.views.points_rule_forms import KINDS, told
from admin.words import maker_names, member_names
from server.flows import rule_lab
from server.kernel.clock import business_date
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.points import dry_runs
from server.staff.permissions import Permission
from server.transfers import queries as transfers

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.points.dry_runs import DryRunView

STATES: dict[Any, Tag] = {
    "running": Tag(N_("Running"), "blue"),
    "done": Tag(N_("Done"), "green"),
    "failed": Tag(N_("Broken off"), "red"),
}
_REFRESH_SECONDS = 3


class DryRunForm(ConsoleForm):
    """Which drafts to try on which orders."""

    codes = ManyField(L_("Drafts"), choices=[], description=L_("All of them when none is ticked."))
    since = DateField(L_("From day"), [InputRequired()])
    until = DateField(L_("To day"), [InputRequired()])


class PointsLabView(ConsoleView):
    """Dry runs."""

    slug = "points-lab"
    title = N_("Rule lab")
    group = "benefits"
    icon = "chart-column"
    order = 12
    permission = Permission.POINTS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List dry runs, newest first."""
        with self.reading() as session:
            found = dry_runs.list_runs(session, PageRequest.of(20, self.cursor))
            makers = maker_names(session, [row.asked_by for row in found.items])
        table = Table(
            [
                Column(N_("Asked for"), "asked_at", "minute", second=lambda row: makers[row.asked_by]),
                Column(N_("Orders of"), _range),
                Column(N_("Drafts"), lambda row: ", ".join(draft["code"] for draft in row.drafts)),
                Column(N_("State"), "state", "tag", tags=STATES),
                Column(N_("Points now"), lambda row: _of(row, "before"), "number"),
                Column(N_("Points by the drafts"), lambda row: _of(row, "after"), "number"),
            ],
            found.items,
            actions=lambda row: [RowAction(N_("Look"), self.url_to("detail", run_id=row.id))],
            empty=N_("No dry runs yet"),
            empty_hint=N_("A dry run tells what past orders would have earned by the drafts of the rules. It gives nothing to anybody."),
        )
        buttons = [RowAction(N_("Dry run"), self.url_to("create"), Permission.POINTS_RULES, tone="primary", icon="plus")]
        return ListPage(N_("Rule lab"), table, next_cursor=found.next_cursor, buttons=buttons).render(self)

    @form_page("/new", Permission.POINTS_RULES)
    def create(self) -> ResponseReturnValue:
        """Ask for a dry run of some drafts, or all."""
        since, until = rule_lab.last_month(business_date(now(), core().settings.zone))
        with self.reading() as session:
            tried = {draft.code: gettext(draft.name) for draft in dry_runs.tried(session)}
        form, actor = DryRunForm(data={"since": since, "until": until, "codes": list(tried)}), current_actor()
        form.codes.choices = [SelectChoice(code, f"{name} ({code})") for code, name in tried.items()]

        def work(session: Session) -> UUID:
            return dry_runs.ask(session, form.since.data, form.until.data, codes=form.codes.data or (), actor=actor, now=now())

        done, run_id = self.submit(form, work)
        if done:
            flash(gettext("The dry run is under way."), "success")
            return redirect(self.url_to("detail", run_id=run_id))
        sections = [
            FormSection(N_("Drafts"), ["codes"], N_("Drafts are tried together, as if they had held on every one of these days.")),
            FormSection(N_("Orders of"), ["since", "until"]),
        ]
        return FormPage(N_("Dry run"), form, sections, submit=N_("Begin"), back=self.url_to("index")).render(self)

    @page("/<run_id>")
    def detail(self, run_id: str) -> ResponseReturnValue:
        """Show a dry run: its progress, or what came out."""
        with self.reading() as session:
            run = dry_runs.find(session, self.uuid(run_id))
            job = transfers.find(session, run.transfer_id) if run else None
            told_of = [UUID(row[0]) for side in ("gainers", "losers") for row in (run.result or {}).get(side, ())] if run else []
            names = member_names(session, told_of)
        if run is None:
            abort(404)
        fields = [
            Field(N_("Orders of"), _range(run)),
            Field(N_("Asked for"), run.asked_at, "instant"),
            Field(N_("Ended"), run.finished_at, "instant"),
        ]
        if run.state == "running" and job is not None:
            fields.append(Field(N_("Progress"), "–" if job.percent is None else f"{job.percent} %"))
        drafts = Table(
            [
                Column(N_("Name"), lambda row: translated(row["name"]), second=lambda row: row["code"]),
                Column(N_("Kind"), lambda row: row["kind"], "tag", tags=KINDS),
                Column(N_("Rule"), lambda row: told(row["kind"], row["document"], reader_language())),
            ],
            run.drafts,
        )
        panels = [Panel(N_("Drafts"), table=drafts), *(_result_panels(run.result, names) if run.result else [])]
        return DetailPage(
            title=N_("Dry run"),
            subtitle=_range(run),
            tags=[STATES[run.state]],
            back=(N_("Rule lab"), self.url_to("index")),
            figures=_figures(run.result) if run.result else [],
            sections=[Section(N_("Dry run"), fields)],
            panels=panels,
        ).render(self, refresh_seconds=_REFRESH_SECONDS if run.state == "running" else None)


def _range(run: DryRunView) -> str:
    return f"{run.since} – {run.until}"


def _of(run: DryRunView, side: str) -> int | None:
    return run.result[side] if run.result else None


def _figures(result: dict[str, Any]) -> list[Figure]:
    figures = [
        Figure(N_("Orders"), result["orders"], "number", tip=N_("Paid and neither called off nor refunded whole.")),
        Figure(N_("Points now"), result["before"], "number", tip=N_("By the rules that held when it was asked for, with today's tiers.")),
        Figure(
            N_("Points by the drafts"),
            result["after"],
            "number",
            tip=N_("On the same orders, with the drafts in place of the rules of the same code."),
        ),
        Figure(N_("Difference"), result["after"] - result["before"], "points", tip=N_("Points by the drafts, less points now.")),
    ]
    if result["after_fen"] is not None:
        figures.append(
            Figure(
                N_("Cost of the difference"),
                result["after_fen"] - result["before_fen"],
                "money",
                tip=N_("What points pay on an order."),
            )
        )
    return figures


def _result_panels(result: dict[str, Any], names: dict[UUID, str]) -> list[Panel]:
    days = charts.trend(
        N_("Points by day"),
        [row[0][5:] for row in result["days"]],
        [
            charts.Series(N_("Points now"), [row[1] for row in result["days"]]),
            charts.Series(N_("Points by the drafts"), [row[2] for row in result["days"]], "area"),
        ],
        tip=N_("By the business day of the orders."),
    )
    moved = charts.ring(
        N_("Members who gain and lose"),
        [(N_("Gain"), result["gain"]), (N_("Lose"), result["lose"]), (N_("Unchanged"), result["same"])],
        tip=N_("Members with orders on these days, by what the drafts would change for them in all."),
    )
    tiers = Table(
        [
            Column(N_("Tier"), lambda row: translated(row["name"])),
            Column(N_("Members"), lambda row: row["members"], "number"),
            Column(N_("Points now"), lambda row: row["before"], "number"),
            Column(N_("Points by the drafts"), lambda row: row["after"], "number"),
            Column(N_("Difference"), lambda row: row["after"] - row["before"], "points"),
            Column(N_("Gain"), lambda row: row["gain"], "number"),
            Column(N_("Lose"), lambda row: row["lose"], "number"),
            Column(N_("Unchanged"), lambda row: row["same"], "number"),
        ],
        result["tiers"],
    )
    return [
        Panel(N_("Points by day"), chart=days),
        Panel(N_("Members who gain and lose"), chart=moved),
        Panel(N_("By tier"), table=tiers),
        Panel(N_("Who gains most"), table=_members(result["gainers"], names)),
        Panel(N_("Who loses most"), table=_members(result["losers"], names)),
    ]


def _members(rows: list[list[Any]], names: dict[UUID, str]) -> Table:
    return Table(
        [
            Column(
                N_("Member"),
                lambda row: names.get(UUID(row[0]), ""),
                "link",
                href=lambda row: member_url(UUID(row[0])),
                permission=Permission.MEMBERS_READ,
            ),
            Column(N_("Points now"), lambda row: row[1], "number"),
            Column(N_("Points by the drafts"), lambda row: row[2], "number"),
            Column(N_("Difference"), lambda row: row[2] - row[1], "points"),
        ],
        rows,
        empty=N_("Nobody"),
    )


VIEWS = [PointsLabView]
