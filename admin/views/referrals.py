"""Console pages of members who invite members: figures and policy, the list, one referral, and the decision on a held one."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import abort, flash, redirect, request
from flask_babel import gettext
from wtforms.validators import InputRequired, NumberRange, Optional

from admin.base import ConsoleView, action, console_url_or_none, current_actor, form_page, now, page
from admin.detail import DetailPage, Field, Figure, Panel, Section
from admin.export import export_list
from admin.formats import Tag
from admin.forms import L_, BooleanField, ConsoleForm, FormPage, FormSection, IntegerField, MoneyField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.words import member_names
from server.cards import queries as cards
from server.kernel.ids import uuid7
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.orders import queries as orders
from server.referrals import queries, rules, service
from server.referrals.rules import LIMITS, ReferralPolicy
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

STATES: dict[Any, Tag] = {
    rules.WAITING: Tag(N_("Waits for the friend's order"), "blue"),
    rules.HELD: Tag(N_("Held for review"), "orange"),
    rules.REWARDED: Tag(N_("Both rewarded"), "green"),
    rules.REFUSED: Tag(N_("No reward"), "red"),
    rules.EXPIRED: Tag(N_("No order in time"), "grey"),
}
REASONS: dict[Any, Tag] = {
    rules.SELF: Tag(N_("Invited themselves"), "red"),
    rules.SAME_PHONE: Tag(N_("Same phone number"), "red"),
    rules.SAME_DEVICE: Tag(N_("Same device"), "red"),
    rules.CIRCLE: Tag(N_("Invited in a circle"), "red"),
    rules.KNOWN_BEFORE: Tag(N_("Member or customer before"), "orange"),
    rules.LIMIT: Tag(N_("Inviter's limit is reached"), "gold"),
    rules.VELOCITY: Tag(N_("Many friends on one day"), "orange"),
    rules.MERGED: Tag(N_("Invited twice"), "grey"),
    rules.BY_STAFF: Tag(N_("Refused by staff"), "red"),
}
ON_OFF = {True: Tag(N_("Switched on"), "green"), False: Tag(N_("Switched off"), "grey")}


def _within(name: str) -> NumberRange:
    return NumberRange(*LIMITS[name])


class PolicyForm(ConsoleForm):
    """What is declared about invitations."""

    enabled = BooleanField(
        L_("Invitations are open"), description=L_("Switched off, nobody is bound any more; who was bound is still rewarded.")
    )
    inviter_points = IntegerField(L_("Points for the inviter"), [InputRequired(), _within("inviter_points")])
    friend_points = IntegerField(L_("Points for the friend"), [InputRequired(), _within("friend_points")])
    points_days = IntegerField(L_("Points valid for (days)"), [Optional(), _within("points_days")], description=L_("Empty for ever."))
    window_days = IntegerField(
        L_("The friend buys within (days)"), [InputRequired(), _within("window_days")], description=L_("Counted from joining.")
    )
    min_order_fen = MoneyField(
        L_("Least amount of that order (yuan)"), [InputRequired(), _within("min_order_fen")], description=L_("After what was refunded.")
    )
    daily_cap = IntegerField(
        L_("Friends a day without review"), [InputRequired(), _within("daily_cap")], description=L_("Further ones of that day are held.")
    )
    max_rewarded = IntegerField(
        L_("Most friends rewarded for"), [Optional(), _within("max_rewarded")], description=L_("For each inviter; empty for no limit.")
    )


class ReferralsView(ConsoleView):
    """Invitations."""

    slug = "referrals"
    title = N_("Invitations")
    group = "benefits"
    icon = "megaphone"
    order = 45
    permission = Permission.POINTS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show how many came by invitation, what it cost, the policy, and what waits for a decision."""
        with self.reading() as session:
            version, policy = queries.policy(session)
            counts = queries.counts(session)
            held = queries.listed(session, PageRequest(10), state=rules.HELD)
            newest = queries.listed(session, PageRequest(10))
            names = member_names(session, [who for row in (*held.items, *newest.items) for who in (row.inviter_id, row.friend_id)])

        def count(state: str) -> int:
            return counts.get(state, (0, 0))[0]

        return DetailPage(
            title=N_("Invitations"),
            tags=[ON_OFF[policy.enabled]],
            subtitle=N_("Both sides are rewarded once the friend's first purchase can no longer be returned."),
            buttons=[RowAction(N_("Change the policy"), self.url_to("policy"), Permission.POINTS_RULES, tone="primary", icon="pencil")],
            figures=[
                Figure(
                    N_("Friends who joined"),
                    sum(number for number, _ in counts.values()),
                    tip=N_("All who began their membership with somebody's code, whatever became of it."),
                ),
                Figure(
                    N_("Rewarded"), count(rules.REWARDED), tip=N_("Friends whose first purchase is final; both sides have their points.")
                ),
                Figure(N_("Points given"), counts.get(rules.REWARDED, (0, 0))[1], "points", tip=N_("To both sides together.")),
                Figure(
                    N_("Held for review"),
                    count(rules.HELD),
                    tip=N_("More friends on one day than go without review; staff release or refuse them."),
                    tone="orange" if count(rules.HELD) else "",
                ),
                Figure(N_("No reward"), count(rules.REFUSED), tip=N_("Loops and limits; the list says which.")),
            ],
            sections=[
                Section(
                    N_("Policy"),
                    [
                        Field(N_("Points for the inviter"), policy.inviter_points, "points"),
                        Field(N_("Points for the friend"), policy.friend_points, "points"),
                        Field(N_("Points valid for (days)"), policy.points_days),
                        Field(N_("The friend buys within (days)"), policy.window_days),
                        Field(N_("Least amount of that order (yuan)"), policy.min_order_fen, "money"),
                        Field(N_("Friends a day without review"), policy.daily_cap),
                        Field(N_("Most friends rewarded for"), policy.max_rewarded),
                        Field(N_("Version"), version),
                    ],
                )
            ],
            panels=[
                Panel(N_("Held for review"), table=self._table(held.items, names)),
                Panel(N_("Joined lately"), table=self._table(newest.items, names), more=(N_("All"), self.url_to("listed"))),
            ],
        ).render(self)

    @page("/list")
    def listed(self) -> ResponseReturnValue:
        """List referrals, newest first."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("referrals", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("card", N_("Card number of the inviter"), placeholder=N_("Whole number")),
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in STATES.items()}),
            Filter("reason", N_("Reason"), "choice", {code: tag.label for code, tag in REASONS.items() if code}),
            Filter("joined", N_("Joined on"), "date_range"),
        ]
        asked = read_filters(filters)
        since, until = asked.dates("joined")
        card = asked.text("card")
        with self.reading() as session:
            # A number nobody has finds nothing, rather than everything.
            inviter = (cards.by_card_no(session, card) or uuid7()) if card else None
            found = queries.listed(
                session,
                place,
                state=asked.choice("state"),
                reason=asked.choice("reason"),
                inviter_id=inviter,
                since=since,
                until=until,
            )
            names = member_names(session, [who for row in found.items for who in (row.inviter_id, row.friend_id)])
        back = [RowAction(N_("Figures and policy"), self.url_to("index"), icon="chart-column")]
        return ListPage(N_("Invitations"), self._table(found.items, names), filters, asked, found.next_cursor, back, export=True)

    def _table(self, rows: Sequence[queries.ReferralView], names: dict[UUID, str]) -> Table:
        return Table(
            [
                Column(N_("Friend"), lambda row: names[row.friend_id], "link", href=lambda row: self.url_to("detail", referral_id=row.id)),
                Column(
                    N_("Inviter"),
                    lambda row: names[row.inviter_id],
                    "link",
                    href=lambda row: console_url_or_none("members.detail", member_id=row.inviter_id),
                    second="code",
                ),
                Column(N_("State"), "state", "tag", tags=STATES),
                Column(N_("Reason"), "reason", "tag", tags=REASONS),
                Column(N_("Points given"), lambda row: row.inviter_points + row.friend_points, "points"),
                Column(N_("Joined on"), "joined_at", "minute"),
            ],
            rows,
            lambda row: [RowAction(N_("Details"), self.url_to("detail", referral_id=row.id)), *self._decisions(row)],
            empty=N_("Nobody here"),
        )

    @page("/<referral_id>")
    def detail(self, referral_id: str) -> ResponseReturnValue:
        """Show one referral."""
        with self.reading() as session:
            found = queries.find(session, self.uuid(referral_id))
            if found is None:
                abort(404)
            names = member_names(session, [found.inviter_id, found.friend_id])
            order = orders.find(session, found.order_id) if found.order_id else None
        order_url = console_url_or_none("orders.detail", order_id=found.order_id) if found.order_id else None
        friend, inviter = (console_url_or_none("members.detail", member_id=who) for who in (found.friend_id, found.inviter_id))
        return DetailPage(
            title=names[found.friend_id],
            subtitle=f"{gettext('Invitation code')} {found.code}",
            tags=[STATES[found.state], *([REASONS[found.reason]] if found.reason else [])],
            back=(N_("Invitations"), self.url_to("listed")),
            buttons=self._decisions(found),
            figures=[
                Figure(N_("Points for the inviter"), found.inviter_points, "points"),
                Figure(N_("Points for the friend"), found.friend_points, "points"),
            ],
            sections=[
                Section(
                    N_("Invitation"),
                    [
                        Field(N_("Inviter"), names[found.inviter_id], "link" if inviter else "text", href=inviter),
                        Field(N_("Friend"), names[found.friend_id], "link" if friend else "text", href=friend),
                        Field(N_("Joined on"), found.joined_at, "instant"),
                        Field(N_("Order"), order.order_no if order else "", "link" if order_url else "text", href=order_url),
                        Field(N_("Rewarded on"), found.rewarded_at, "instant"),
                        Field(N_("Version of the policy"), found.policy_version),
                    ],
                ),
                Section(
                    N_("Decision"),
                    [
                        Field(N_("Decided by"), found.decided_by),
                        Field(N_("Decided on"), found.decided_at, "instant"),
                        Field(N_("Reason"), found.decided_why, wide=True),
                    ],
                ),
            ],
        ).render(self)

    def _decisions(self, row: queries.ReferralView) -> list[RowAction]:
        if row.state != rules.HELD:
            return []
        release, refuse = (self.url_to(name, referral_id=row.id) for name in ("release", "refuse"))
        goes_on = N_("It waits for the friend's order from now on, like any other.")
        return [
            RowAction(N_("Release"), release, Permission.POINTS_ADJUST, post=True, reason=True, confirm=goes_on),
            RowAction(N_("Refuse"), refuse, Permission.POINTS_ADJUST, post=True, reason=True, tone="danger"),
        ]

    @action("/<referral_id>/release", Permission.POINTS_ADJUST)
    def release(self, referral_id: str) -> ResponseReturnValue:
        """Let a held referral go on."""
        return self._decide(referral_id, release=True, done=N_("The invitation goes on."))

    @action("/<referral_id>/refuse", Permission.POINTS_ADJUST)
    def refuse(self, referral_id: str) -> ResponseReturnValue:
        """Refuse a held referral for good."""
        return self._decide(referral_id, release=False, done=N_("The invitation is refused."))

    def _decide(self, referral_id: str, *, release: bool, done: str) -> ResponseReturnValue:
        wanted, actor, reason = self.uuid(referral_id), current_actor(), request.form.get("reason", "")
        return self.change(
            lambda session: service.decide(session, wanted, release=release, reason=reason, actor=actor, now=now()), done=done
        )

    @form_page("/policy", Permission.POINTS_RULES)
    def policy(self) -> ResponseReturnValue:
        """Declare a new policy."""
        with self.reading() as session:
            _, held = queries.policy(session)
        form, actor = PolicyForm(data=asdict(held)), current_actor()

        def work(session: Session) -> int:
            values = {name: getattr(form, name).data for name in LIMITS}
            return service.change_policy(session, ReferralPolicy(enabled=bool(form.enabled.data), **values), actor=actor, now=now())

        done, _ = self.submit(form, work)
        if done:
            flash(gettext("The policy holds from now on."), "success")
            return redirect(self.url_to("index"))
        sections = [
            FormSection(N_("Reward of both sides"), ["enabled", "inviter_points", "friend_points", "points_days"]),
            FormSection(N_("Conditions"), ["window_days", "min_order_fen"]),
            FormSection(N_("Against abuse"), ["daily_cap", "max_rewarded"]),
        ]
        return FormPage(N_("Policy of invitations"), form, sections, back=self.url_to("index")).render(self)


VIEWS = [ReferralsView]
