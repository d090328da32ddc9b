"""Console pages of tiers: the definitions, and giving a member a tier."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from uuid import UUID

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than the stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional, Regexp

from admin import charts
from admin.base import ConsoleView, console_url, core, current_actor, form_page, now, page
from admin.detail import DetailPage, Figure, Panel
from admin.forms import (
    L_,
    BooleanField,
    ConsoleForm,
    FileField,
    FormPage,
    FormSection,
    IntegerField,
    SelectField,
    StringField,
    TextAreaField,
)
from admin.listing import Column, RowAction, Table
from server.cards import queries as cards
from server.files import service as files
from server.files.rules import Purpose
from server.kernel.errors import InvalidError
from server.kernel.text import N_
from server.staff.permissions import Permission
from server.tiers import overview, queries, service
from server.tiers.queries import TierView
from server.tiers.rules import PRIORITIES, Face, Perks, TierDraft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_PICTURE_SECONDS = 3600
_COLOURS = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="44" height="44"><linearGradient id="face" x2="1" y2="1"><stop stop-color="{start}"/>'
    '<stop offset="1" stop-color="{end}"/></linearGradient><rect y="8" width="44" height="28" rx="4" fill="url(#face)"/></svg>'
)
_COLOUR = Regexp(r"#[0-9A-Fa-f]{6}$", message=L_("Please enter a colour such as #C49A4A."))
_PRIORITY_LABELS = (L_("Usual"), L_("Faster customer service"), L_("Customer service before all others"))


class TierForm(ConsoleForm):
    """A tier."""

    code = StringField(L_("Code"), [InputRequired(), Length(max=40)])
    name = StringField(L_("Name"), [InputRequired(), Length(max=40)])
    rank = IntegerField(L_("Rank"), [InputRequired(), NumberRange(0, 1000)], description=L_("Higher is better."))
    points_multiplier_percent = IntegerField(
        L_("Points multiplier (%)"), [InputRequired(), NumberRange(100, 1000)], description=L_("100 is single points, 150 one and a half.")
    )
    start = StringField(L_("Card colour, from"), [InputRequired(), _COLOUR])
    end = StringField(L_("Card colour, to"), [InputRequired(), _COLOUR])
    text = StringField(L_("Text colour"), [InputRequired(), _COLOUR])
    picture = FileField(
        L_("Picture"), description=L_("PNG, JPEG or WebP, as wide as a card; the colours stand in where it cannot be shown.")
    )
    without_picture = BooleanField(L_("Show the colours alone"))
    upgrade_points = IntegerField(
        L_("Points when the tier is reached"), [Optional(), NumberRange(0, 1_000_000)], description=L_("Given once for each period.")
    )
    upgrade_points_days = IntegerField(L_("Valid for (days)"), [Optional(), NumberRange(1, 3650)], description=L_("Empty for no end."))
    upgrade_coupon = StringField(L_("Coupon when the tier is reached"), [Length(max=64)], description=L_("Code of a coupon template."))
    service_priority = SelectField(
        L_("Customer service"), choices=[SelectChoice(code, label) for code, label in zip(PRIORITIES, _PRIORITY_LABELS, strict=True)]
    )
    advisor = StringField(L_("Named adviser"), [Length(max=40)])
    benefits = TextAreaField(L_("Benefits"), [Length(max=1000)], description=L_("One on each line, as members read them."))


class AssignForm(ConsoleForm):
    """A member's tier."""

    card_no = StringField(L_("Card number"), [InputRequired(), Length(max=32)])
    tier = SelectField(L_("Tier"))
    reason = TextAreaField(
        L_("Reason"), [InputRequired(), Length(max=200)], description=L_("The member sees it; the audit trail keeps it.")
    )


class TiersView(ConsoleView):
    """Tiers."""

    slug = "tiers"
    title = N_("Tiers")
    group = "benefits"
    icon = "crown"
    order = 20
    permission = Permission.MEMBERS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show the tiers, the lowest first, who holds them, and how members move."""
        with self.reading() as session:
            tiers = queries.definitions(session)
            heads = {count.code: count.members for count in queries.headcounts(session)}
            holders, months = overview.holders(session), overview.moves_by_month(session, now=now())
            risk = overview.at_risk(session, now=now(), limit=1000)
        table = Table(
            columns=[
                Column(N_("Name"), lambda row: gettext(row.name), second="code"),
                Column(N_("Card"), _picture, "picture"),
                Column(N_("Rank"), "rank", "number"),
                Column(N_("Points multiplier"), lambda row: f"{row.points_multiplier_percent} %"),
                Column(N_("Benefits"), lambda row: " · ".join(gettext(text) for text in row.benefits)),
                Column(
                    N_("Members assigned"),
                    lambda row: heads.get(row.code, 0),
                    "number",
                    tip=N_("Members without an assignment hold the lowest tier and are not counted."),
                ),
            ],
            rows=tiers,
            actions=lambda row: [RowAction(N_("Edit"), self.url_to("edit", code=row.code), Permission.SETTINGS_EDIT)],
            empty=N_("No tiers yet"),
        )
        buttons = [
            RowAction(N_("Growth rule"), console_url("tier-growth.index"), icon="chart-line"),
            RowAction(N_("New tier"), self.url_to("create"), Permission.SETTINGS_EDIT, icon="plus"),
            RowAction(N_("Assign a tier"), self.url_to("assign"), Permission.MEMBERS_EDIT, tone="primary", icon="crown"),
        ]
        structure = charts.ring(
            N_("Members by tier"),
            [(gettext(name), count) for _, name, count in holders],
            tip=N_("Members with growth or a tier; whoever never earned any is not counted."),
        )
        trend = charts.trend(
            N_("Changes of tier by month"),
            [f"{month.month:%Y-%m}" for month in months],
            [
                charts.Series(N_("Upgrade"), [month.upgrades for month in months], "bar"),
                charts.Series(N_("Downgrade"), [month.downgrades for month in months], "bar"),
                charts.Series(N_("Assigned"), [month.by_hand for month in months], "bar"),
            ],
            tip=N_("The last twelve months of the shop's calendar."),
        )
        return DetailPage(
            title=N_("Tiers"),
            buttons=buttons,
            figures=[
                Figure(N_("Upgrades this month"), months[-1].upgrades, tone="green"),
                Figure(N_("Downgrades this month"), months[-1].downgrades),
                Figure(
                    N_("Members at risk"),
                    len(risk),
                    tip=N_("Whose period ends within 60 days, or has ended and is in its grace, and whose growth does not keep the tier."),
                    tone="orange" if risk else "",
                ),
            ],
            panels=[
                Panel(N_("Tiers"), table=table),
                Panel(N_("Changes of tier by month"), chart=trend),
                Panel(N_("Members by tier"), chart=structure, side=True),
            ],
        ).render(self)

    @form_page("/new", Permission.SETTINGS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Define a tier."""
        return self._form(None)

    @form_page("/<code>/edit", Permission.SETTINGS_EDIT)
    def edit(self, code: str) -> ResponseReturnValue:
        """Change a tier."""
        with self.reading() as session:
            tier = next((tier for tier in queries.definitions(session) if tier.code == code), None)
        if tier is None:
            abort(404)
        return self._form(tier)

    @form_page("/assign", Permission.MEMBERS_EDIT)
    def assign(self) -> ResponseReturnValue:
        """Give a member a tier, with a reason."""
        form, actor = AssignForm(data={"card_no": request.args.get("card_no", "")}), current_actor()
        with self.reading() as session:
            form.tier.choices = [SelectChoice(tier.code, gettext(tier.name)) for tier in queries.definitions(session)]

        def work(session: Session) -> TierView:
            member_id = cards.by_card_no(session, form.card_no.data)
            if member_id is None:
                raise InvalidError(fields={"card_no": gettext("No member has this card number.")})
            return service.assign(session, member_id, form.tier.data, reason=form.reason.data, actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The tier is assigned."), "success")
            return redirect(self.url_to("index"))
        sections = [FormSection(N_("Member"), ["card_no", "tier"]), FormSection(N_("For the record"), ["reason"])]
        return FormPage(N_("Assign a tier"), form, sections, submit=N_("Assign"), back=self.url_to("index")).render(self)

    def _form(self, tier: TierView | None) -> ResponseReturnValue:
        form, actor = TierForm(data=_values(tier) if tier else None), current_actor()
        if tier is not None:
            form.code.data = tier.code
        picture = form.picture.data
        data = (picture.read(), picture.mimetype or "") if picture else None
        kept = None if tier is None or form.without_picture.data else tier.face.picture

        def work(session: Session) -> None:
            shown = kept if data is None else str(_store(session, *data))
            service.define(session, _draft(form, shown, tier.benefits if tier else ()), actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The tier is saved."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(N_("Tier"), ["code", "name", "rank", "points_multiplier_percent"]),
            FormSection(N_("Card"), ["start", "end", "text", "picture", "without_picture"]),
            FormSection(
                N_("What the tier gives"), ["upgrade_points", "upgrade_points_days", "upgrade_coupon", "service_priority", "advisor"]
            ),
            FormSection(N_("For members"), ["benefits"]),
        ]
        title = N_("Edit tier") if tier else N_("New tier")
        return FormPage(title, form, sections, submit=N_("Save"), back=self.url_to("index")).render(self)


def _values(tier: TierView) -> dict[str, Any]:
    return {
        "name": tier.name,
        "rank": tier.rank,
        "points_multiplier_percent": tier.points_multiplier_percent,
        "start": tier.face.start,
        "end": tier.face.end,
        "text": tier.face.text,
        "benefits": "\n".join(gettext(text) for text in tier.benefits),
        **tier.perks.document(),
    }


def _store(session: Session, data: bytes, content_type: str) -> UUID:
    return files.store_upload(
        session, core().files, owner_member_id=None, purpose=Purpose.REPLY, data=data, content_type=content_type, now=now()
    ).id


def _picture(tier: TierView) -> str:
    """Return the signed address of a card's picture, for a page that is shown now; the card's colours when it has none."""
    if tier.face.picture is None:
        drawn = _COLOURS.format(start=escape(tier.face.start), end=escape(tier.face.end))
        return f"data:image/svg+xml,{quote(drawn)}"
    return files.signed_address(UUID(tier.face.picture), secret_key=core().settings.secret_key, now=now(), ttl_seconds=_PICTURE_SECONDS)


def _draft(form: Any, picture: str | None, benefits: Sequence[str]) -> TierDraft:
    # A line that was left as it was stays what it is: ours keep being read in either language.
    known = {gettext(text): text for text in benefits}
    lines = tuple(known.get(line.strip(), line.strip()) for line in (form.benefits.data or "").splitlines() if line.strip())
    face = Face(form.start.data, form.end.data, form.text.data, picture)
    perks = Perks(
        upgrade_points=form.upgrade_points.data or 0,
        upgrade_points_days=form.upgrade_points_days.data,
        upgrade_coupon=(form.upgrade_coupon.data or "").strip() or None,
        service_priority=form.service_priority.data,
        advisor=(form.advisor.data or "").strip() or None,
    )
    return TierDraft(form.code.data, form.name.data, form.rank.data, form.points_multiplier_percent.data, face, lines, perks)


VIEWS = [TiersView]
