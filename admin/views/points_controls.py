"""The console page of the declared controls of points: the limit of one person, the least that is told, the value in the books."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from flask import flash, redirect
from flask_babel import gettext
from wtforms import HiddenField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import ConsoleView, console_url, current_actor, form_page, now
from admin.forms import L_, ConsoleForm, FormPage, FormSection, IntegerField, TextAreaField
from server.flows import controls as flow
from server.kernel.ids import uuid7
from server.kernel.text import N_
from server.points import controls
from server.points.control_rules import Controls
from server.points.rules import MAX_POINTS
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from uuid import UUID

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session


class ControlsForm(ConsoleForm):
    """The declared controls."""

    adjust_limit = IntegerField(
        L_("One person adjusts alone up to (points)"),
        [InputRequired(), NumberRange(0, MAX_POINTS)],
        description=L_(
            "In one adjustment, and on one day in all. Beyond it a second person approves; 0 asks one always. Raising it needs one too."
        ),
    )
    notice_min_points = IntegerField(
        L_("Members are told of points that expire from (points)"),
        [InputRequired(), NumberRange(1, MAX_POINTS)],
        description=L_("Fewer points that expire on one day are not worth a message."),
    )
    points_per_yuan = IntegerField(
        L_("Points worth one yuan in the books"),
        [Optional(), NumberRange(1, 100_000)],
        description=L_("What a closed month's liability is worked out with; empty for what paying with points says."),
    )
    reason = TextAreaField(L_("Reason"), [Length(max=255)], description=L_("Needed to raise the limit: whoever approves reads it."))
    # Made with the page, so that a form sent twice asks once.
    once = HiddenField(default=lambda: uuid7().hex)


class PointsControlsView(ConsoleView):
    """Controls of points; a change is a new version."""

    slug = "points-controls"
    title = N_("Controls of points")
    icon = "shield-check"
    permission = Permission.POINTS_RULES

    @form_page("/", Permission.POINTS_RULES)
    def index(self) -> ResponseReturnValue:
        """Declare new controls."""
        with self.reading() as session:
            held = controls.current(session)
        form, actor = ControlsForm(data=asdict(held)), current_actor()

        def wanted() -> Controls:
            return Controls(form.adjust_limit.data, form.notice_min_points.data, form.points_per_yuan.data)

        def work(session: Session) -> UUID | None:
            once, reason = str(form.once.data)[:64], form.reason.data or ""
            return flow.declare(session, wanted(), once=once, reason=reason, actor=actor, now=now())

        done, asked = self.submit(form, work)
        back = console_url("points-rules.index")
        if done and asked is not None:
            flash(gettext("Somebody else has to approve the higher limit; everything else holds from now on."), "info")
            return redirect(console_url("approvals.index"))
        if done:
            flash(gettext("The controls hold from now on."), "success")
            return redirect(back)
        sections = [
            FormSection(N_("Four eyes"), ["adjust_limit", "reason"]),
            FormSection(N_("Notices of expiry"), ["notice_min_points"]),
            FormSection(N_("Month close"), ["points_per_yuan"]),
        ]
        return FormPage(N_("Controls of points"), form, sections, back=back).render(self)


VIEWS = [PointsControlsView]
