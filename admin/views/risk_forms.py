"""Forms of risk control."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flask_babel import gettext
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import now
from admin.forms import L_, BooleanField, ConsoleForm, IntegerField, LocalInstantField, SelectField, StringField, TextAreaField
from server.cards import queries as cards
from server.kernel.errors import InvalidError
from server.members.rules import normalised_phone
from server.risk import rules
from server.risk.rules import Kind
from server.risk.service import Target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


class EntryForm(ConsoleForm):
    """What goes on the block list."""

    kind = SelectField(L_("Kind"), choices=[])
    values = TextAreaField(
        L_("Numbers or addresses"),
        [InputRequired(), Length(max=20_000)],
        description=L_("One on each line, at most 200: card numbers, phone numbers, devices or addresses. Only a keyed hash is kept."),
    )
    scope = SelectField(L_("Held from"), choices=[])
    until = LocalInstantField(L_("Until"), [Optional()], description=L_("Empty for ever."))
    reason = StringField(L_("Reason"), [InputRequired(), Length(max=300)])


class ReleaseForm(ConsoleForm):
    """How long a member is let through."""

    days = IntegerField(L_("Let through for (days)"), [Optional(), NumberRange(1, 3650)], description=L_("Empty for ever."))
    give = BooleanField(L_("Give it now"), description=L_("The welcome pack or the invitation's reward, if that is what was refused."))
    reason = StringField(L_("Reason"), [InputRequired(), Length(max=300)])


def rules_form(known: Sequence[rules.VelocityRule]) -> ConsoleForm:
    """Return the form of all velocity rules: three fields for each, named ``{code}__{part}``."""
    fields: dict[str, Any] = {}
    for rule in known:
        fields[f"{rule.code}__most"] = IntegerField(L_("At most"), [InputRequired(), NumberRange(*rules.MOST)], default=rule.most)
        fields[f"{rule.code}__days"] = IntegerField(L_("Within (days)"), [InputRequired(), NumberRange(*rules.DAYS)], default=rule.days)
        fields[f"{rule.code}__enabled"] = BooleanField(L_("The rule holds"), default=rule.enabled)
    made: ConsoleForm = type("RulesForm", (ConsoleForm,), fields)()
    return made


def target_of(session: Session, kind: Kind, line: str) -> Target:
    """Return what one line of a form means."""
    if kind is Kind.MEMBER:
        found = cards.by_card_no(session, line)
        if found is None:
            raise InvalidError(fields={"values": gettext("Nobody has the card number %(number)s.", number=line)})
        return Target(kind, member_id=found)
    return Target(kind, text=normalised_phone(line) if kind is Kind.PHONE else line)


def until_of(form: ReleaseForm) -> datetime | None:
    """Return until when a release lasts; None for good."""
    return now() + timedelta(days=form.days.data) if form.days.data else None
