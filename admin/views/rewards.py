"""Console pages of rewards: the catalogue with pictures and stock, the builder with its preview, the funnel, and paying with points."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request
from flask_babel import gettext

from admin import charts
from admin.base import ConsoleView, action, console_url, console_url_or_none, core, current_actor, form_page, now, page, put_errors
from admin.detail import DetailPage, Field, Figure, Moment, Panel, Section
from admin.formats import Tag, money, points, share_of_stock, stock_words
from admin.forms import FormPage, FormSection
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from admin.views.redemption_parts import KIND_TAGS, redemption_table
from admin.views.reward_forms import KINDS, SECTIONS, PaymentPolicyForm, RewardForm, draft_of, fill_choices, values_of
from admin.words import action_words, actor_words
from server.audit import queries as audit
from server.files import service as files
from server.files.rules import Purpose
from server.kernel.errors import DomainError
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.rewards import queries, service
from server.rewards.errors import RewardInvalidError
from server.rewards.rules.paying import PaymentPolicy
from server.rewards.rules.terms import problems
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from server.rewards.queries import Funnel, RewardView
    from server.rewards.rules.terms import RewardDraft

STATES = {
    "draft": Tag(N_("Draft"), "grey"),
    "published": Tag(N_("Published"), "green"),
    "paused": Tag(N_("Paused"), "orange"),
}
_PICTURE_SECONDS = 900


class RewardsView(ConsoleView):
    """Rewards: list, page with funnel, builder with preview, publish and pause; the policy of paying with points."""

    slug = "rewards"
    title = N_("Rewards")
    group = "benefits"
    icon = "gift"
    order = 14
    permission = Permission.REWARDS_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List rewards, newest first."""
        filters = [
            Filter("text", N_("Name or code"), placeholder=N_("Part of it")),
            Filter("kind", N_("Kind"), "choice", KINDS),
            Filter("state", N_("State"), "choice", {code: tag.label for code, tag in STATES.items()}),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = queries.list_rewards(
                session,
                PageRequest.of(20, self.cursor),
                state=asked.choice("state"),
                kind=asked.choice("kind"),
                search=asked.text("text"),
            )
        table = Table(
            [
                Column(N_("Picture"), lambda row: picture_of(row.draft.picture_id), "picture"),
                Column(N_("Reward"), "name", "link", href=lambda row: self.url_to("detail", reward_id=row.id), second="draft.code"),
                Column(N_("Kind"), lambda row: row.draft.kind.value, "tag", tags=KIND_TAGS),
                Column(N_("Price"), lambda row: price_of(row.draft)),
                Column(N_("State"), "state", "tag", tags=STATES),
                Column(
                    N_("Redeemed of stock"),
                    lambda row: share_of_stock(row.issued, row.draft.stock),
                    "bar",
                    second=lambda row: stock_words(row.issued, row.draft.stock),
                ),
                Column(N_("On sale until"), "draft.on_sale_until", "minute"),
            ],
            found.items,
            lambda row: [RowAction(N_("Details"), self.url_to("detail", reward_id=row.id)), *self._actions(row)],
            empty=N_("No reward matches"),
            empty_hint=N_("A reward is what members redeem points for: a coupon, goods or a service."),
        )
        buttons = [
            RowAction(N_("Paying with points"), self.url_to("paying"), Permission.POINTS_RULES, icon="settings"),
            RowAction(N_("New reward"), self.url_to("create"), Permission.REWARDS_EDIT, tone="primary", icon="plus"),
        ]
        return ListPage(N_("Rewards"), table, filters, asked, found.next_cursor, buttons).render(self)

    @page("/<reward_id>")
    def detail(self, reward_id: str) -> ResponseReturnValue:
        """Show one reward: its terms, what became of its redemptions, its versions."""
        wanted = self.uuid(reward_id)
        with self.reading() as session:
            view = queries.find_reward(session, wanted)
            funnel = queries.funnel(session, wanted)
            redemptions = queries.list_redemptions(session, PageRequest(10), reward_id=wanted)
            table = redemption_table(session, redemptions.items)
            versions = queries.versions(session, wanted)
            about = audit.list_entries(session, PageRequest(20), audit.EntryFilter(subject_type="reward", subject_id=str(wanted)))
        return DetailPage(
            title=view.name,
            subtitle=view.draft.code,
            tags=[STATES[view.state], KIND_TAGS[view.draft.kind.value]],
            buttons=self._actions(view),
            back=(N_("Rewards"), self.url_to("index")),
            figures=_figures(view, funnel),
            sections=_sections(view),
            panels=[
                Panel(N_("Funnel"), chart=_chart(funnel)),
                Panel(N_("Redemptions"), table=table, more=(N_("All"), console_url("redemptions.index", reward=wanted))),
                Panel(
                    N_("Versions"),
                    table=Table(
                        [
                            Column(N_("Version"), "version", "number"),
                            Column(N_("Price"), lambda row: price_of(row.draft)),
                            Column(N_("Stock"), "draft.stock", "number"),
                            Column(N_("Made on"), "created_at", "minute"),
                        ],
                        versions,
                    ),
                ),
                Panel(
                    N_("History"),
                    timeline=[
                        Moment(
                            entry.occurred_at,
                            action_words(entry.action),
                            entry.reason or "",
                            by=actor_words(entry.actor_kind, entry.actor_name),
                        )
                        for entry in about.items
                    ],
                    side=True,
                ),
            ],
        ).render(self)

    @form_page("/new", Permission.REWARDS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Write a reward."""
        return self._form(None)

    @form_page("/<reward_id>/edit", Permission.REWARDS_EDIT)
    def edit(self, reward_id: str) -> ResponseReturnValue:
        """Write a reward's next version; redemptions already made keep theirs."""
        with self.reading() as session:
            view = queries.find_reward(session, self.uuid(reward_id))
        return self._form(view)

    @form_page("/paying", Permission.POINTS_RULES)
    def paying(self) -> ResponseReturnValue:
        """Say how far points may pay for orders."""
        with self.reading() as session:
            held = queries.payment_policy(session)
        form, actor = PaymentPolicyForm(data=asdict(held)), current_actor()
        names = tuple(asdict(held))
        done, _ = self.submit(
            form,
            lambda session: service.set_payment_policy(
                session, PaymentPolicy(**{name: form[name].data for name in names}), actor=actor, now=now()
            ),
        )
        if done:
            flash(gettext("The policy holds from now on."), "success")
            return redirect(self.url_to("index"))
        sections = [FormSection(N_("Paying with points"), list(names), N_("Points pay for goods after the coupons, never for shipping."))]
        return FormPage(N_("Paying with points"), form, sections, back=self.url_to("index")).render(self)

    @action("/<reward_id>/publish", Permission.REWARDS_EDIT)
    def publish(self, reward_id: str) -> ResponseReturnValue:
        """Open a reward to members."""
        wanted, actor = self.uuid(reward_id), current_actor()
        return self.change(
            lambda session: service.publish_reward(session, wanted, actor=actor, now=now()), done=N_("The reward is published.")
        )

    @action("/<reward_id>/pause", Permission.REWARDS_EDIT)
    def pause(self, reward_id: str) -> ResponseReturnValue:
        """Stop redeeming."""
        wanted, actor = self.uuid(reward_id), current_actor()
        return self.change(lambda session: service.pause_reward(session, wanted, actor=actor, now=now()), done=N_("The reward is paused."))

    def _actions(self, row: RewardView) -> list[RowAction]:
        to: dict[str, UUID] = {"reward_id": row.id}
        edit = Permission.REWARDS_EDIT
        if row.state == "published":
            state = RowAction(
                N_("Pause"), self.url_to("pause", **to), edit, post=True, confirm=N_("Nobody can redeem it until it is published again.")
            )
        else:
            state = RowAction(
                N_("Publish"),
                self.url_to("publish", **to),
                edit,
                post=True,
                tone="primary",
                confirm=N_("Members can redeem points for it from now on."),
            )
        return [RowAction(N_("Edit"), self.url_to("edit", **to), edit), state]

    def _form(self, view: RewardView | None) -> ResponseReturnValue:
        form, actor = RewardForm(data=values_of(view) if view else None), current_actor()
        kept = view.draft.picture_id if view else None
        with self.reading() as session:
            fill_choices(form, session)
        title = N_("Edit reward") if view else N_("New reward")
        back = self.url_to("detail", reward_id=view.id) if view else self.url_to("index")
        form_of = FormPage(title, form, SECTIONS, back=back)
        if request.form.get("preview"):
            shown = self._preview(form, kept)
            answer = form_of.render(self, "console/reward_form.html", preview=shown)
            return answer if shown is None else answer[0]
        picture = form.picture.data
        data = (picture.read(), picture.mimetype or "") if picture else None

        def work(session: Session) -> UUID:
            picture_id = kept if data is None else _store(session, *data)
            draft = draft_of(form, picture_id)
            if view is None:
                return service.create_reward(session, draft, actor=actor, now=now())
            service.update_reward(session, view.id, draft, actor=actor, now=now())
            return view.id

        done, reward_id = self.submit(form, work)
        if done:
            said = gettext("Saved. Redemptions already made keep the terms they were made under.")
            flash(said if view else gettext("The reward is kept as a draft. Publish it when it is ready."), "success")
            return redirect(self.url_to("detail", reward_id=reward_id))
        preview = _card(view.draft) if view and not form.is_submitted() else None
        shown_again: ResponseReturnValue = form_of.render(self, "console/reward_form.html", preview=preview)
        return shown_again

    def _preview(self, form: RewardForm, picture_id: UUID | None) -> dict[str, Any] | None:
        """Return the card of what was typed; nothing is kept."""
        if not form.validate_on_submit():
            return None
        try:
            draft = draft_of(form, picture_id)
            wrong = problems(draft)
            if wrong:
                raise RewardInvalidError(fields=wrong)
        except DomainError as error:
            put_errors(form, error)
            return None
        return _card(draft)


def picture_of(upload_id: UUID | None) -> str | None:
    """Return the signed address of a reward's picture, for a page that is shown now."""
    if upload_id is None:
        return None
    return files.signed_address(upload_id, secret_key=core().settings.secret_key, now=now(), ttl_seconds=_PICTURE_SECONDS)


def price_of(draft: RewardDraft) -> str:
    """Return what a reward costs in words: points, and the cash part if it has one."""
    said = str(gettext("%(points)s points", points=points(draft.points)))
    return f"{said} + {money(draft.cash_fen)}" if draft.cash_fen else said


def _store(session: Session, data: bytes, content_type: str) -> UUID:
    return files.store_upload(
        session, core().files, owner_member_id=None, purpose=Purpose.REPLY, data=data, content_type=content_type, now=now()
    ).id


def _card(draft: RewardDraft) -> dict[str, Any]:
    return {
        "name": draft.name,
        "picture": picture_of(draft.picture_id),
        "price": price_of(draft),
        "kind": KINDS[draft.kind.value],
        "description": draft.description,
        "left": draft.stock,
    }


def _figures(view: RewardView, funnel: Funnel) -> list[Figure]:
    figures = [
        Figure(N_("Redemptions"), funnel.made, tip=N_("All redemptions ever made, cancelled ones included.")),
        Figure(N_("Left"), view.left, tip=N_("Stock not yet redeemed; cancelled redemptions give theirs back.")),
        Figure(N_("To be fulfilled"), funnel.placed, tone="orange" if funnel.placed else ""),
        Figure(N_("Fulfilled"), funnel.fulfilled),
        Figure(N_("Points redeemed"), funnel.points, "points", tip=N_("By redemptions that stand.")),
        Figure(N_("Cash received"), funnel.cash_fen, "money", tip=N_("The cash parts of redemptions that stand.")),
    ]
    return figures if view.left is not None else [figure for figure in figures if figure.label != "Left"]


def _sections(view: RewardView) -> list[Section]:
    draft = view.draft
    template = draft.coupon_template_id
    href = console_url_or_none("coupon_templates.detail", template_id=template) if template else None
    return [
        Section(
            N_("Terms"),
            [
                Field(N_("Price"), price_of(draft)),
                Field(N_("Time to pay (minutes)"), draft.pay_minutes if draft.cash_fen else None, "number"),
                Field(N_("Coupon to issue"), gettext("Template") if template else None, "link" if href else "text", href=href),
                Field(N_("Voucher valid for (days)"), draft.voucher_days, "number"),
                Field(N_("For these tiers"), "、".join(draft.tiers)),
                Field(N_("Version"), view.version, "number"),
                Field(N_("Small print"), draft.description, wide=True),
            ],
        ),
        Section(
            N_("Limits"),
            [
                Field(N_("Stock"), draft.stock, "number"),
                Field(N_("Stock for a day"), draft.daily_stock, "number"),
                Field(N_("For each member"), draft.per_member, "number"),
                Field(N_("For each member a day"), draft.per_member_daily, "number"),
                Field(N_("On sale from"), draft.on_sale_from, "minute"),
                Field(N_("On sale until"), draft.on_sale_until, "minute"),
            ],
        ),
    ]


def _chart(funnel: Funnel) -> charts.Chart:
    steps = [
        (N_("Redemptions"), funnel.made),
        (N_("Not cancelled"), funnel.made - funnel.cancelled),
        (N_("Points redeemed and paid"), funnel.placed + funnel.fulfilled),
        (N_("Fulfilled"), funnel.fulfilled),
    ]
    return charts.funnel(N_("Funnel"), steps, tip=N_("How many of the redemptions came how far."))


VIEWS = [RewardsView]
