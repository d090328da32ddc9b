"""Console pages of festivals: the calendar, what each brings, whom it would reach, and what was celebrated."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext

from admin.base import ConsoleView, action, console_url_or_none, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag
from admin.forms import FormPage
from admin.listing import Column, ListPage, RowAction, Table
from admin.views.festival_forms import day_words, festival_form, fill_choices, plan_from, sections, values_of
from admin.words import maker_names, member_names
from server.campaigns import festival_queries as queries
from server.campaigns import festivals
from server.campaigns.errors import FestivalUnknownError
from server.campaigns.festival_rules import CATCH_UP_DAYS, PRESETS, SOLAR, FestivalDay, FestivalPlan
from server.coupons import queries as coupons
from server.kernel.clock import business_date
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.members import audience
from server.staff.permissions import Permission
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_YEARS = 4
_TEMPLATES = 100
SWITCH: dict[object, Tag] = {True: Tag(N_("Celebrated"), "green"), False: Tag(N_("Not celebrated"), "grey")}
RUNS: dict[object, Tag] = {
    "running": Tag(N_("Under way"), "blue"),
    "done": Tag(N_("Done"), "green"),
    "stopped": Tag(N_("Stopped by staff"), "orange"),
    "given_up": Tag(N_("Too late, given up"), "red"),
}
_FAR = date(9999, 12, 31)


class FestivalsView(ConsoleView):
    """Festival calendar: solar and lunar festivals with greetings and gifts."""

    slug = "festivals"
    title = N_("Festival calendar")
    group = "benefits"
    icon = "calendar-days"
    order = 41
    permission = Permission.CAMPAIGNS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show every festival with its next days, the nearest first, and what was celebrated lately."""
        today = business_date(now(), core().settings.zone)
        with self.reading() as session:
            rows = queries.festivals(session)
            done = queries.runs(session, limit=10)
        days = {row.code: festivals.next_days(row.plan, today, _YEARS) for row in rows}
        rows.sort(key=lambda row: (days[row.code][0] if days[row.code] else _FAR, row.code))
        table = Table(
            [
                Column(
                    N_("Festival"), lambda row: gettext(row.plan.name), "link", href=lambda row: self.url_to("detail", code=row.code),
                    second=lambda row: day_words(row.plan.day),
                ),
                Column(N_("Next day"), lambda row: days[row.code][0] if days[row.code] else None, "date"),
                Column(N_("And after that"), lambda row: " · ".join(f"{day:%Y-%m-%d}" for day in days[row.code][1:])),
                Column(N_("State"), "enabled", "tag", tags=SWITCH),
                Column(N_("Greeting"), "plan.greeting", second=lambda row: _pack(row.plan)),
            ],
            rows,
            self._row_actions,
        )  # fmt: skip
        return DetailPage(
            title=self.title,
            subtitle=gettext(
                "Sent to active members who agreed to marketing, once each; a standstill is made up for within %(days)s days.",
                days=CATCH_UP_DAYS,
            ),
            buttons=[RowAction(N_("Own festival"), self.url_to("create"), Permission.CAMPAIGNS_EDIT, tone="primary", icon="plus")],
            panels=[Panel(N_("Festivals and their days"), table=table), Panel(N_("Celebrated lately"), table=self._runs(done))],
        ).render(self)

    def _row_actions(self, row: queries.FestivalView) -> list[RowAction]:
        label, way = (N_("Celebrate no more"), "stop") if row.enabled else (N_("Celebrate"), "start")
        return [
            RowAction(N_("Edit"), self.url_to("edit", code=row.code), Permission.CAMPAIGNS_EDIT),
            RowAction(
                label, self.url_to(way, code=row.code), Permission.CAMPAIGNS_EDIT, post=True, reason=True,
                confirm=N_("Its next celebration is not begun; one under way is stopped on its own page.")
                if row.enabled
                else N_("It is celebrated from its next day on, today's included."),
                tone="danger" if row.enabled else "",
            ),
        ]  # fmt: skip

    @page("/<code>")
    def detail(self, code: str) -> ResponseReturnValue:
        """Show one festival: what it brings, its days, whom it would reach now, and what was celebrated."""
        at = now()
        with self.reading() as session:
            found = self._found(session, code)
            versions = queries.versions(session, code)
            done = queries.runs(session, code=code, limit=20)
            makers = maker_names(session, [one.created_by for one in versions])
            willing, active = audience.count(session, festivals.PURPOSE, joined_before=at)
            called = {tier.code: gettext(tier.name) for tier in tiers.definitions(session)}
            coupon = coupons.template_by_code(session, found.plan.coupon_code) if found.plan.coupon_code else None
        plan = found.plan
        days = festivals.next_days(plan, business_date(at, core().settings.zone), 10)
        return DetailPage(
            title=gettext(plan.name),
            subtitle=day_words(plan.day),
            tags=[SWITCH[found.enabled]],
            back=(self.title, self.url_to("index")),
            buttons=self._row_actions(found),
            figures=[
                Figure(N_("Would be addressed now"), willing, tip=N_("Active members whose last word on marketing was yes."), tone="green"),
                Figure(N_("Active members"), active),
                Figure(N_("Without consent"), active - willing, tip=N_("Get nothing; a greeting of the brand is marketing.")),
                Figure(N_("Points in all, at most"), willing * max([plan.points, *plan.points_by_tier.values()]), "points"),
            ],
            sections=[
                Section(
                    N_("What is said and given"),
                    [
                        Field(N_("Greeting"), plan.greeting, wide=True),
                        Field(N_("Points"), plan.points, "points"),
                        Field(N_("Points by tier"), " · ".join(f"{called.get(t, t)} {n:,}" for t, n in plan.points_by_tier.items())),
                        Field(N_("Points valid for (days)"), plan.valid_days),
                        Field(N_("Coupon"), coupon.name if coupon else plan.coupon_code),
                        Field(N_("Coupon by tier"), " · ".join(f"{called.get(t, t)} {c or '–'}" for t, c in plan.coupons_by_tier.items())),
                        Field(N_("Sent from (hour)"), f"{plan.send_from:02d}:00"),
                        Field(N_("Next days"), " · ".join(f"{day:%Y-%m-%d}" for day in days) or gettext("None that is known"), wide=True),
                    ],
                )
            ],
            panels=[
                Panel(N_("Celebrations"), table=self._runs(done)),
                Panel(
                    N_("Versions"),
                    table=Table(
                        [
                            Column(N_("Version"), "version", "number"),
                            Column(N_("Since"), "created_at", "minute"),
                            Column(N_("Changed by"), lambda row: makers[row.created_by]),
                            Column(N_("Greeting"), "plan.greeting", second=lambda row: _pack(row.plan)),
                        ],
                        versions,
                        empty=N_("Nobody has set it yet"),
                    ),
                ),
            ],
        ).render(self)

    @page("/celebrations/<run_id>")
    def run(self, run_id: str) -> ResponseReturnValue:
        """List what members got for one celebration."""
        problems = request.args.get("only") == "problems"
        with self.reading() as session:
            found = queries.run(session, self.uuid(run_id))
            if found is None:
                abort(404)
            gifts = queries.gifts(session, found.id, PageRequest.of(20, self.cursor), only_problems=problems)
            names = member_names(session, [gift.member_id for gift in gifts.items])
        table = Table(
            [
                Column(N_("Given at"), "given_at", "minute"),
                Column(
                    N_("Member"), lambda row: names[row.member_id], "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.member_id),
                ),
                Column(N_("Points"), "points", "points"),
                Column(
                    N_("Coupon"), lambda row: gettext("Issued") if row.coupon_id else "", "link",
                    href=lambda row: console_url_or_none("coupons.detail", coupon_id=row.coupon_id) if row.coupon_id else None,
                ),
                Column(
                    N_("Message"), lambda row: gettext("Greeting") if row.message_id else "", "link",
                    href=lambda row: console_url_or_none("messages.detail", message_id=row.message_id) if row.message_id else None,
                ),
                Column(N_("Not to be had"), "problem", "code"),
            ],
            gifts.items,
            empty=N_("Nobody was given anything"),
        )  # fmt: skip
        address = self.url_to("run", run_id=found.id)
        tabs = [
            (N_("All"), address, not problems, found.given + found.refused),
            (N_("With a problem"), f"{address}?only=problems", problems, None),
        ]
        stop = RowAction(
            N_("Stop"), self.url_to("stop_run", run_id=found.id), Permission.CAMPAIGNS_EDIT, post=True, reason=True, tone="danger",
            confirm=N_("Whoever was given something keeps it; the others get nothing."),
        )  # fmt: skip
        title = f"{gettext(found.name)} {found.celebrated_on:%Y-%m-%d}"
        buttons = [RowAction(N_("Festival"), self.url_to("detail", code=found.code), icon="calendar-days")]
        buttons += [stop] if found.state == "running" else []
        return ListPage(title, table, next_cursor=gifts.next_cursor, buttons=buttons, tabs=tabs, intro=RUNS[found.state].label).render(self)

    @form_page("/new", Permission.CAMPAIGNS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Add a festival of the brand's own."""
        return self._form(None)

    @form_page("/<code>/edit", Permission.CAMPAIGNS_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Change what a festival brings from its next celebration on."""
        return self._form(code)

    def _form(self, code: str | None) -> ResponseReturnValue:
        with self.reading() as session:
            found = self._found(session, code) if code is not None else None
            levels = [(tier.code, gettext(tier.name)) for tier in tiers.definitions(session)]
            offers = coupons.list_templates(session, PageRequest(_TEMPLATES), state="published").items
        codes = [tier for tier, _ in levels]
        plan = found.plan if found else FestivalPlan("", FestivalDay(SOLAR, month=1, day=1), "")
        fresh, known = found is None, code in PRESETS
        form = festival_form(levels, fresh=fresh, known=known)(data=values_of(plan, found.version if found else 0, codes))
        offered = {offer.draft.code: offer.name for offer in offers}
        offered |= {kept: kept for kept in (plan.coupon_code, *plan.coupons_by_tier.values()) if kept and kept not in offered}
        fill_choices(form, codes, offered)
        actor = current_actor()

        def work(session: Session) -> str:
            wanted = str(form["code"].data) if code is None else code
            expected = int(form["version"].data) if str(form["version"].data).isdigit() else 0
            festivals.set_festival(
                session, wanted, plan_from(form, found.plan if found else None, wanted, codes), actor=actor,
                reason=form["reason"].data, expected=expected, now=now(),
            )  # fmt: skip
            return wanted

        done, wanted = self.submit(form, work)
        if done:
            flash(gettext("The festival is set; it holds from the next celebration on."), "success")
            return redirect(self.url_to("detail", code=wanted))
        title = N_("Own festival") if fresh else N_("Change festival")
        back = self.url_to("index") if code is None else self.url_to("detail", code=code)
        return FormPage(title, form, sections(codes, fresh=fresh, known=known), back=back).render(self)

    @action("/<code>/start", Permission.CAMPAIGNS_EDIT)
    def start(self, code: str) -> ResponseReturnValue:
        """Celebrate a festival from its next day on."""
        return self._switch(code, on=True)

    @action("/<code>/stop", Permission.CAMPAIGNS_EDIT)
    def stop(self, code: str) -> ResponseReturnValue:
        """Celebrate a festival no more."""
        return self._switch(code, on=False)

    def _switch(self, code: str, *, on: bool) -> ResponseReturnValue:
        actor, reason = current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: festivals.switch(session, code, on=on, actor=actor, reason=reason, now=now()),
            done=N_("The festival is celebrated.") if on else N_("The festival is not celebrated any more."),
        )

    @action("/celebrations/<run_id>/stop", Permission.CAMPAIGNS_EDIT)
    def stop_run(self, run_id: str) -> ResponseReturnValue:
        """Stop a celebration under way."""
        wanted, actor, reason = self.uuid(run_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: festivals.stop_run(session, wanted, actor=actor, reason=reason, now=now()),
            done=N_("The celebration is stopped."),
        )

    def _found(self, session: Session, code: str) -> queries.FestivalView:
        try:
            return queries.festival(session, code)
        except FestivalUnknownError:
            abort(404)

    def _runs(self, rows: list[queries.RunView]) -> Table:
        return Table(
            [
                Column(N_("Festival"), lambda row: gettext(row.name), "link", href=lambda row: self.url_to("run", run_id=row.id)),
                Column(N_("Festival day"), "celebrated_on", "date"),
                Column(N_("State"), "state", "tag", tags=RUNS),
                Column(N_("Greeted"), "given", "number"),
                Column(
                    N_("Could not be given"), "refused", "number", tip=N_("Members who could not be given anything; their rows say why.")
                ),
                Column(N_("Begun"), "started_at", "minute"),
                Column(N_("Ended"), "ended_at", "minute"),
            ],
            rows,
            empty=N_("Nothing has been celebrated yet"),
        )


def _pack(plan: FestivalPlan) -> str:
    said: list[Any] = []
    if plan.points or plan.points_by_tier:
        said.append(gettext("%(points)s points", points=f"{plan.points:,}"))
    if plan.coupon_code or any(plan.coupons_by_tier.values()):
        said.append(gettext("Coupon"))
    return " + ".join(map(str, said))


VIEWS = [FestivalsView]
