"""Forms about one member."""

from __future__ import annotations

from wtforms import HiddenField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange

from admin.forms import L_, ConsoleForm, IntegerField, SelectField, StringField, TextAreaField


class AdjustForm(ConsoleForm):
    """Points to give or take."""

    points = IntegerField(
        L_("Points"), [InputRequired(), NumberRange(-1_000_000, 1_000_000)], description=L_("More than zero gives, less takes.")
    )
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=200)], description=L_("The member sees it in the statement."))
    once = HiddenField()


class IssueForm(ConsoleForm):
    """A coupon to give."""

    template = SelectField(L_("Coupon"), [InputRequired()])
    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=200)], description=L_("Kept in the audit trail."))
    once = HiddenField()


class ProfileForm(ConsoleForm):
    """What staff may correct in a profile."""

    nickname = StringField(L_("Nickname"), [Length(max=32)])
    gender = SelectField(
        L_("Gender"),
        choices=[SelectChoice("unknown", L_("Not given")), SelectChoice("female", L_("Female")), SelectChoice("male", L_("Male"))],
    )
    city = StringField(L_("City"), [Length(max=40)])
    interests = StringField(L_("Interests"), [Length(max=200)], description=L_("Separated by commas."))
