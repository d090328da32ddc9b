"""Console pages of birthday gifts: what is given, who got it, and changing it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flask import flash, redirect
from flask_babel import gettext
from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import ConsoleView, console_url_or_none, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.formats import Tag
from admin.forms import L_, BooleanField, ConsoleForm, FormPage, FormSection, IntegerField, SelectField, TextAreaField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import maker_names, member_names
from server.campaigns import queries, service
from server.campaigns.rules import BirthdayPolicy, LeapDayRule
from server.cards import queries as cards
from server.coupons import queries as coupons
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff.permissions import Permission
from server.tiers import queries as tiers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

_DAYS = 30
_MOST_POINTS = 1_000_000
_MOST_DAYS = 366
_TEMPLATES = 100
_TIER = "tier__"
ON_OFF: dict[object, Tag] = {True: Tag(N_("Switched on"), "green"), False: Tag(N_("Switched off"), "grey")}
CALENDARS: dict[object, Tag] = {"solar": Tag(N_("Solar calendar"), "blue"), "lunar": Tag(N_("Lunar calendar"), "purple")}
LEAP_DAYS: dict[LeapDayRule, str] = {
    LeapDayRule.DAY_BEFORE: N_("On 28 February in years without one"),
    LeapDayRule.DAY_AFTER: N_("On 1 March in years without one"),
}


class BirthdaysView(ConsoleView):
    """Birthday gifts: the policy, what was given, and changing the policy."""

    slug = "birthdays"
    title = N_("Birthday gifts")
    group = "benefits"
    icon = "gift"
    order = 40
    permission = Permission.CAMPAIGNS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show what is given now, what was given lately, and who changed it when."""
        with self.reading() as session:
            policy = queries.birthday_policy(session)
            versions = queries.policy_versions(session)
            totals = queries.gift_totals(session, now() - timedelta(days=_DAYS))
            found = queries.gifts(session, PageRequest(10))
            names = member_names(session, [gift.member_id for gift in found.items])
            makers = maker_names(session, [view.created_by for view in versions])
            coupon = coupons.template_by_code(session, policy.coupon_code) if policy.coupon_code else None
            offers = {offer.draft.code: offer.name for offer in coupons.list_templates(session, PageRequest(_TEMPLATES)).items}
            called = {tier.code: gettext(tier.name) for tier in tiers.definitions(session)}
        coupon_url = console_url_or_none("coupon_templates.detail", template_id=coupon.id) if coupon else None
        return DetailPage(
            title=N_("Birthday gifts"),
            tags=[ON_OFF[policy.enabled]],
            subtitle=N_("Given on the day itself; a day on which the product stood still is made up for within two weeks."),
            buttons=[RowAction(N_("Change birthday gifts"), self.url_to("edit"), Permission.CAMPAIGNS_EDIT, tone="primary", icon="pencil")],
            figures=[
                Figure(N_("Gifts given"), totals.gifts, tip=N_("Within the last 30 days.")),
                Figure(N_("Points given"), totals.points, "points", tip=N_("Points of these gifts.")),
                Figure(N_("Coupons given"), totals.coupons, tip=N_("Gifts that came with a coupon.")),
                Figure(
                    N_("Coupons not to be had"),
                    totals.without_coupon,
                    tip=N_("Gifts whose coupon was sold out, paused or gone; points and greeting were given."),
                    tone="orange" if totals.without_coupon else "",
                ),
            ],
            sections=[
                Section(
                    N_("What is given"),
                    [
                        Field(N_("Points"), policy.points, "points"),
                        Field(N_("Points by tier"), _by_tier(policy, called)),
                        Field(N_("Points valid for (days)"), policy.valid_days),
                        Field(
                            N_("Coupon"), coupon.name if coupon else policy.coupon_code, "link" if coupon_url else "text", href=coupon_url
                        ),
                        Field(N_("Birthday on 29 February"), gettext(LEAP_DAYS[policy.leap_day])),
                    ],
                )
            ],
            panels=[
                Panel(N_("Given lately"), table=self._gifts(found.items, names), more=(N_("All"), self.url_to("gifts"))),
                Panel(N_("Versions"), table=_versions(versions, makers, offers)),
            ],
        ).render(self)

    @page("/gifts")
    def gifts(self) -> ResponseReturnValue:
        """List gifts, newest first."""
        filters = [Filter("card", N_("Card number"), placeholder=N_("Whole number"))]
        asked = read_filters(filters)
        card = asked.text("card")
        with self.reading() as session:
            # A number nobody has finds nothing, rather than everything.
            member_id = (cards.by_card_no(session, card) or uuid7()) if card else None
            found = queries.gifts(session, PageRequest.of(20, self.cursor), member_id=member_id)
            names = member_names(session, [gift.member_id for gift in found.items])
        table = self._gifts(found.items, names)
        buttons = [RowAction(N_("What is given"), self.url_to("index"), icon="gift")]
        return ListPage(N_("Birthday gifts given"), table, filters, asked, found.next_cursor, buttons).render(self)

    @form_page("/edit", Permission.CAMPAIGNS_EDIT)
    def edit(self) -> ResponseReturnValue:
        """Change what is given from now on."""
        actor = current_actor()
        with self.reading() as session:
            policy = queries.birthday_policy(session)
            versions = queries.policy_versions(session, limit=1)
            levels = tiers.definitions(session)
            offers = coupons.list_templates(session, PageRequest(_TEMPLATES), state="published").items
        form = _form([(tier.code, gettext(tier.name)) for tier in levels])(data=_values(policy, versions[0].version if versions else 0))
        form.leap_day.choices = [SelectChoice(rule.value, gettext(text)) for rule, text in LEAP_DAYS.items()]
        offered = {offer.draft.code: offer.name for offer in offers}
        if policy.coupon_code and policy.coupon_code not in offered:
            offered[policy.coupon_code] = policy.coupon_code
        form.coupon_code.choices = [SelectChoice("", gettext("No coupon")), *(SelectChoice(*one) for one in offered.items())]

        def work(session: Session) -> int:
            wanted = _policy(form, policy, [tier.code for tier in levels])
            expected = int(form.version.data) if str(form.version.data).isdigit() else 0
            return service.set_birthday_policy(session, wanted, actor=actor, reason=form.reason.data, expected=expected, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The birthday gift is set; it holds from the next birthday on."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(N_("What is given"), ["enabled", "points", "valid_days", "coupon_code", "leap_day"]),
            FormSection(N_("Points by tier"), [f"{_TIER}{tier.code}" for tier in levels], N_("Left empty, a tier gets the points above.")),
            FormSection(N_("For the record"), ["reason"]),
        ]
        return FormPage(N_("Change birthday gifts"), form, sections, back=self.url_to("index")).render(self)

    def _gifts(self, rows: Sequence[queries.GiftView], names: dict[UUID, str]) -> Table:
        return Table(
            [
                Column(N_("Given at"), "given_at", "minute"),
                Column(
                    N_("Member"),
                    lambda row: names[row.member_id],
                    "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.member_id),
                ),
                Column(N_("Birthday on"), "celebrated_on", "date"),
                Column(N_("Calendar"), "calendar", "tag", tags=CALENDARS),
                Column(N_("Points"), "points", "points"),
                Column(N_("Coupon"), _coupon_words, "link", href=_coupon_url),
            ],
            rows,
            empty=N_("No birthday gift has been given yet"),
            empty_hint=N_("Gifts are given every hour to members whose birthday it is."),
        )


def _form(levels: list[tuple[str, str]]) -> type[ConsoleForm]:
    """Return the form, with one field of points for each tier."""
    points = [Optional(), NumberRange(0, _MOST_POINTS)]
    fields: dict[str, Any] = {
        "enabled": BooleanField(L_("Give birthday gifts")),
        "points": IntegerField(L_("Points"), [InputRequired(), NumberRange(0, _MOST_POINTS)], description=L_("0 gives no points.")),
        "valid_days": IntegerField(L_("Points valid for (days)"), [InputRequired(), NumberRange(1, _MOST_DAYS)]),
        "coupon_code": SelectField(L_("Coupon"), validate_choice=True, description=L_("A published template, issued with the points.")),
        "leap_day": SelectField(L_("Birthday on 29 February")),
        "reason": TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail.")),
        "version": HiddenField(),
        **{f"{_TIER}{code}": IntegerField(name, points) for code, name in levels},
    }
    return type("BirthdayForm", (ConsoleForm,), fields)


def _values(policy: BirthdayPolicy, version: int) -> dict[str, Any]:
    return {
        "enabled": policy.enabled,
        "points": policy.points,
        "valid_days": policy.valid_days,
        "coupon_code": policy.coupon_code or "",
        "leap_day": policy.leap_day.value,
        "version": version,
        **{f"{_TIER}{code}": count for code, count in policy.points_by_tier.items()},
    }


def _policy(form: Any, before: BirthdayPolicy, levels: list[str]) -> BirthdayPolicy:
    # A tier that is not on the form keeps what it had.
    by_tier = {code: count for code, count in before.points_by_tier.items() if code not in levels}
    by_tier |= {code: count for code in levels if (count := form[f"{_TIER}{code}"].data) is not None}
    return BirthdayPolicy(
        enabled=bool(form.enabled.data),
        points=form.points.data,
        points_by_tier=by_tier,
        coupon_code=form.coupon_code.data or None,
        valid_days=form.valid_days.data,
        leap_day=LeapDayRule(form.leap_day.data),
    )


def _versions(versions: list[queries.PolicyVersionView], makers: dict[str, str], offers: dict[str, str]) -> Table:
    return Table(
        [
            Column(N_("Version"), "version", "number"),
            Column(N_("Since"), "created_at", "minute"),
            Column(N_("Changed by"), lambda row: makers[row.created_by]),
            Column(N_("State"), "policy.enabled", "tag", tags=ON_OFF),
            Column(N_("Points"), "policy.points", "points"),
            Column(N_("Coupon"), lambda row: offers.get(row.policy.coupon_code or "", row.policy.coupon_code)),
            Column(N_("Points valid for (days)"), "policy.valid_days", "number"),
        ],
        versions,
        empty=N_("Nobody has set it yet"),
    )


def _by_tier(policy: BirthdayPolicy, called: dict[str, str]) -> str:
    return " · ".join(f"{called.get(code, code)} {count:,}" for code, count in policy.points_by_tier.items())


def _coupon_words(row: queries.GiftView) -> str:
    if row.coupon_problem:
        return str(gettext("Not to be had"))
    return str(gettext("Issued")) if row.coupon_id else ""


def _coupon_url(row: queries.GiftView) -> str | None:
    return console_url_or_none("coupons.detail", coupon_id=row.coupon_id) if row.coupon_id else None


VIEWS = [BirthdaysView]
