"""The workbench: what happened today against yesterday, and what waits for somebody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import abort
from flask_admin import expose

from admin.base import ConsoleView, page
from server.kernel.text import N_
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue


class WorkbenchView(ConsoleView):
    """The first page, at ``/admin/``."""

    slug = "workbench"
    title = N_("Workbench")
    group = "workbench"
    icon = "layout-dashboard"
    permission = Permission.WORKBENCH_READ

    def __init__(self) -> None:
        super().__init__()
        self.url = "/admin"
        self.static_folder = "static"

    @page("/")
    def index(self) -> ResponseReturnValue:
        """Show today."""
        html: str = self.render("console/workbench.html")
        return html

    @expose("/<path:rest>", methods=("GET", "POST"))
    def nothing(self, rest: str) -> ResponseReturnValue:  # noqa: ARG002 - whatever it was
        """Answer every other address below ``/admin/``."""
        abort(404)


VIEWS = [WorkbenchView]
