"""Console pages of partners: tills, shops and ERPs that sign their calls, and their keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort, flash, redirect
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length

from admin.base import ConsoleView, action, current_actor, form_page, message_of, now, page
from admin.base import core as shared_core
from admin.detail import DetailPage, Field, Panel, Section
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, FormSection, ManyField, StringField
from admin.listing import Column, ListPage, RowAction, Table
from server.kernel.errors import DomainError
from server.kernel.text import N_
from server.partners import queries, rules, service
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue

STATES = {True: Tag(N_("Active"), "green"), False: Tag(N_("Switched off"), "grey")}
SCOPES = {
    "members:read": N_("Recognise members"),
    "orders:write": N_("Send orders and their events"),
    "points:write": N_("Give and redeem points"),
    "coupons:write": N_("Lock, redeem and return coupons"),
    "rewards:write": N_("Tell payments and parcels of rewards, hand vouchers over"),
    "tickets:write": N_("Open tickets"),
    "stock:write": N_("Report stock"),
}


class PartnerForm(ConsoleForm):
    """A new partner."""

    name = StringField(L_("Name"), [InputRequired(), Length(max=80)], description=L_("For staff: which till, shop or system this is."))
    scopes = ManyField(L_("What it may do"), choices=[])


class ScopesForm(ConsoleForm):
    """What a partner may do."""

    scopes = ManyField(L_("What it may do"), choices=[])


def _choices() -> list[SelectChoice]:
    return [SelectChoice(scope, f"{gettext(SCOPES[scope])} ({scope})") for scope in rules.SCOPES]


class PartnersView(ConsoleView):
    """Partners: list, one partner with its keys, new partner, rotate, switch off."""

    slug = "partners"
    title = N_("Partners")
    group = "system"
    icon = "store"
    order = 30
    permission = Permission.PARTNERS_EDIT

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List the partners."""
        with self.reading() as session:
            found = queries.list_partners(session)
        table = Table(
            columns=[
                Column(N_("Partner"), "name", "link", href=lambda row: self.url_to("detail", partner_id=row.id)),
                Column(N_("State"), "active", "tag", tags=STATES),
                Column(N_("What it may do"), lambda row: "、".join(gettext(SCOPES.get(scope, scope)) for scope in row.scopes)),
                Column(N_("Live keys"), lambda row: sum(key.revoked_at is None for key in row.keys), "number"),
                Column(N_("Created"), "created_at", "minute"),
            ],
            rows=found,
            actions=lambda row: [RowAction(N_("Details"), self.url_to("detail", partner_id=row.id))],
            empty=N_("No partners yet"),
            empty_hint=N_("A till, shop or ERP needs a key of its own to send orders and recognise members."),
        )
        new = RowAction(N_("New partner"), self.url_to("create"), Permission.PARTNERS_EDIT, tone="primary", icon="plus")
        return ListPage(N_("Partners"), table, buttons=[new]).render(self)

    @page("/<partner_id>")
    def detail(self, partner_id: str) -> ResponseReturnValue:
        """Show a partner and its keys."""
        return self._detail(self.uuid(partner_id))

    def _detail(self, partner_id: UUID, new: service.NewKey | None = None) -> str:
        with self.reading() as session:
            partner = queries.find(session, partner_id)
        if partner is None:
            abort(404)
        keys = Table(
            columns=[
                Column(N_("Key"), "key_id", "code"),
                Column(
                    N_("State"),
                    lambda row: row.revoked_at is None,
                    "tag",
                    tags={True: Tag(N_("Live"), "green"), False: Tag(N_("Revoked"), "grey")},
                ),
                Column(N_("Created"), "created_at", "minute"),
                Column(N_("Revoked on"), "revoked_at", "minute"),
            ],
            rows=partner.keys,
            actions=lambda row: (
                [
                    RowAction(
                        N_("Revoke"),
                        self.url_to("revoke", partner_id=partner.id, key_id=row.key_id),
                        Permission.PARTNERS_EDIT,
                        post=True,
                        tone="danger",
                        confirm=N_("Calls signed with this key are refused from now on."),
                    )
                ]
                if row.revoked_at is None
                else []
            ),
        )
        switch = (
            RowAction(
                N_("Switch off"),
                self.url_to("switch_off", partner_id=partner.id),
                Permission.PARTNERS_EDIT,
                post=True,
                tone="danger",
                confirm=N_("All calls of this partner are refused until it is switched on again."),
            )
            if partner.active
            else RowAction(N_("Switch on"), self.url_to("switch_on", partner_id=partner.id), Permission.PARTNERS_EDIT, post=True)
        )
        shown = (
            Section(
                N_("New key: copy the secret now, it is not shown again"),
                [
                    Field(N_("Key"), new.key_id, "code", wide=True),
                    Field(N_("Secret"), new.secret, "code", wide=True),
                ],
            )
            if new
            else None
        )
        about = Section(
            N_("Partner"),
            [
                Field(N_("Name"), partner.name),
                Field(N_("Created"), partner.created_at, "minute"),
                Field(N_("What it may do"), "、".join(gettext(SCOPES.get(scope, scope)) for scope in partner.scopes), wide=True),
            ],
        )
        return DetailPage(
            title=partner.name,
            tags=[STATES[partner.active]],
            buttons=[
                RowAction(
                    N_("Add a key"),
                    self.url_to("rotate", partner_id=partner.id),
                    Permission.PARTNERS_EDIT,
                    post=True,
                    tone="primary",
                    confirm=N_("Two keys may be live: add one, move the partner to it, then revoke the old one."),
                ),
                RowAction(N_("Change what it may do"), self.url_to("scopes", partner_id=partner.id), Permission.PARTNERS_EDIT),
                switch,
            ],
            sections=[shown, about] if shown else [about],
            panels=[Panel(N_("Keys"), table=keys)],
            back=(N_("Partners"), self.url_to("index")),
        ).render(self)

    @form_page("/new", Permission.PARTNERS_EDIT)
    def create(self) -> ResponseReturnValue:
        """Make a partner; the answer shows its first key, once."""
        form, actor = PartnerForm(), current_actor()
        form.scopes.choices = _choices()
        done, new = self.submit(
            form, lambda session: service.create(session, form.name.data, form.scopes.data or [], actor=actor, now=now())
        )
        if done and new is not None:
            return self._detail(new.partner_id, new)
        return FormPage(
            N_("New partner"), form, [FormSection(N_("Partner"), ["name", "scopes"])], submit=N_("Create"), back=self.url_to("index")
        ).render(self)

    @form_page("/<partner_id>/scopes", Permission.PARTNERS_EDIT)
    def scopes(self, partner_id: str) -> ResponseReturnValue:
        """Change what a partner may do."""
        wanted, actor = self.uuid(partner_id), current_actor()
        with self.reading() as session:
            partner = queries.find(session, wanted)
        if partner is None:
            abort(404)
        form = ScopesForm(data={"scopes": partner.scopes})
        form.scopes.choices = _choices()
        done, _ = self.submit(form, lambda session: service.change(session, wanted, scopes=form.scopes.data or [], actor=actor, now=now()))
        back = self.url_to("detail", partner_id=wanted)
        if done:
            flash(gettext("Saved."), "success")
            return redirect(back)
        return FormPage(N_("Change what it may do"), form, back=back).render(self)

    @action("/<partner_id>/keys", Permission.PARTNERS_EDIT)
    def rotate(self, partner_id: str) -> ResponseReturnValue:
        """Add a second key; the answer shows it, once."""
        wanted, actor = self.uuid(partner_id), current_actor()
        try:
            new = shared_core().db.run(lambda session: service.add_key(session, wanted, actor=actor, now=now()))
        except DomainError as error:
            flash(message_of(error), "danger")
            return redirect(self.url_to("detail", partner_id=wanted))
        return self._detail(wanted, new)

    @action("/<partner_id>/keys/<key_id>/revoke", Permission.PARTNERS_EDIT)
    def revoke(self, partner_id: str, key_id: str) -> ResponseReturnValue:
        """Revoke a key at once."""
        actor = current_actor()
        return self.change(
            lambda session: service.revoke_key(session, key_id, actor=actor, now=now()),
            done=N_("The key is revoked."),
            back=self.url_to("detail", partner_id=self.uuid(partner_id)),
        )

    @action("/<partner_id>/off", Permission.PARTNERS_EDIT)
    def switch_off(self, partner_id: str) -> ResponseReturnValue:
        """Refuse all calls of a partner."""
        return self._switch(partner_id, active=False)

    @action("/<partner_id>/on", Permission.PARTNERS_EDIT)
    def switch_on(self, partner_id: str) -> ResponseReturnValue:
        """Let a partner in again."""
        return self._switch(partner_id, active=True)

    def _switch(self, partner_id: str, *, active: bool) -> ResponseReturnValue:
        wanted, actor = self.uuid(partner_id), current_actor()
        return self.change(
            lambda session: service.change(session, wanted, active=active, actor=actor, now=now()),
            done=N_("The partner is switched on.") if active else N_("The partner is switched off."),
        )


VIEWS = [PartnersView]
