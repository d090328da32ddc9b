"""Forms: two columns of fields in titled sections, a CSRF token always. Rendered by ``console/form.html``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import wtforms
from flask_babel import gettext, lazy_gettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField as FlaskFileField
from markupsafe import Markup
from wtforms.validators import InputRequired, Length, Optional
from wtforms.widgets import CheckboxInput, ListWidget, TextInput

from admin import formats
from admin.base import core

if TYPE_CHECKING:
    from datetime import datetime

L_ = lazy_gettext  # labels of form classes are made at import, before a language is known

# Typed loosely: after validation ``data`` is what the validators promise, which no type says.
BooleanField: Any = wtforms.BooleanField
DateField: Any = wtforms.DateField
FileField: Any = FlaskFileField
IntegerField: Any = wtforms.IntegerField
PasswordField: Any = wtforms.PasswordField
SelectField: Any = wtforms.SelectField
StringField: Any = wtforms.StringField
TextAreaField: Any = wtforms.TextAreaField

__all__ = [
    "L_",
    "BooleanField",
    "ConsoleForm",
    "DateField",
    "FileField",
    "FormPage",
    "FormSection",
    "IntegerField",
    "LocalInstantField",
    "ManyField",
    "MoneyField",
    "PasswordField",
    "ReasonForm",
    "SelectField",
    "StringField",
    "TextAreaField",
]


class ConsoleForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF ships no types
    """The base of every form: Flask-WTF with its CSRF token, texts stripped of blanks at their ends."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # as above
        """Strips what people type."""

        def bind_field(self, form: Any, unbound_field: Any, options: dict[str, Any]) -> Any:
            """Bind a field, stripping texts."""
            filters = list(unbound_field.kwargs.get("filters", ()))
            if issubclass(unbound_field.field_class, wtforms.StringField) and unbound_field.field_class is not wtforms.PasswordField:
                filters.append(_stripped)
            return unbound_field.bind(form=form, filters=filters, **options)


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


class MoneyField(wtforms.IntegerField):
    """Yuan with up to two decimals on the page, whole fen in ``data``."""

    widget = TextInput()
    data: Any

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else f"{Decimal(self.data) / 100:.2f}"

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read yuan into fen."""
        if not valuelist or not valuelist[0].strip():
            self.data = None
            return
        try:
            fen = Decimal(valuelist[0].replace(",", "").replace("¥", "").strip()) * 100
        except InvalidOperation:
            self.data = None
            raise ValueError(gettext("Please enter an amount such as 99.00.")) from None
        if fen != fen.to_integral_value() or abs(fen) > 10**12:
            self.data = None
            raise ValueError(gettext("Please enter an amount such as 99.00."))
        self.data = int(fen)


class LocalInstantField(wtforms.DateTimeLocalField):
    """A day and time in the shop's zone on the page, an aware instant in ``data``."""

    data: Any

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, format=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"], **kwargs)

    def _value(self) -> str:
        if self.raw_data:
            return " ".join(self.raw_data)
        instant: datetime | None = self.data
        if instant is None:
            return ""
        shown = formats.local(instant) if instant.tzinfo else instant
        return shown.strftime("%Y-%m-%dT%H:%M")

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the shop's local time into an aware instant."""
        super().process_formdata(valuelist)
        if self.data is not None and self.data.tzinfo is None:
            self.data = self.data.replace(tzinfo=core().settings.zone)


class ManyField(wtforms.SelectMultipleField):
    """Several of a few choices, as boxes to tick."""

    widget = ListWidget(prefix_label=False)
    data: Any
    option_widget = CheckboxInput()


class ReasonForm(ConsoleForm):
    """Asks why, for a change that only needs a reason."""

    reason = TextAreaField(L_("Reason"), [InputRequired(), Length(min=2, max=300)], description=L_("Kept in the audit trail."))


@dataclass(frozen=True, slots=True)
class FormSection:
    """A titled group of fields.

    Arguments:
        title: English msgid.
        fields: names of the form's fields.
        hint: English msgid below the title.
    """

    title: str
    fields: Sequence[str]
    hint: str = ""


@dataclass(slots=True)
class FormPage:
    """A whole form page. ``render(view)`` makes its HTML.

    Arguments:
        title: English msgid.
        form: bound.
        sections: groups of fields; all fields in one group when left out.
        submit: English msgid of the button.
        back: address of "Cancel".
        intro: English msgid above the form.
        danger: the button is red.
        side: HTML of one of our own templates, shown beside the form.
    """

    title: str
    form: FlaskForm
    sections: Sequence[FormSection] = ()
    submit: str = "Save"
    back: str | None = None
    intro: str = ""
    danger: bool = False
    side: Markup | None = None
    wide: tuple[str, ...] = ()

    def groups(self) -> list[tuple[FormSection | None, list[Any]]]:
        """Return the fields to show, by section."""
        fields = {field.name: field for field in self.form if field.type not in {"CSRFTokenField", "HiddenField"}}
        if not self.sections:
            return [(None, list(fields.values()))]
        return [(section, [fields[name] for name in section.fields if name in fields]) for section in self.sections]

    def is_wide(self, field: Any) -> bool:
        """Tell whether a field takes both columns."""
        return field.type in {"TextAreaField", "ManyField"} or field.name in self.wide

    @property
    def uploads(self) -> bool:
        """Tell whether the form carries a file."""
        return any(field.type in {"FileField", "MultipleFileField"} for field in self.form)

    def is_required(self, field: Any) -> bool:
        """Tell whether a field must be filled in."""
        return bool(field.flags.required) and not any(isinstance(one, Optional) for one in field.validators)

    def render(self, view: Any, template: str = "console/form.html", **more: Any) -> tuple[str, int]:
        """Return the page, as 422 when what was sent is shown again."""
        status = 422 if self.form.is_submitted() else 200
        return view.render(template, page=self, form=self.form, **more), status
