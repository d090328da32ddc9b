"""Flask-Admin's own model pages, made safe: read only, default-deny columns, no export, CSRF on, our permissions.

For tables of the kernel that have no domain of their own. Flask-SQLAlchemy's session shares the core's engine, and only reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from flask import abort, redirect, request, url_for
from flask_admin.contrib.sqla import ModelView
from flask_admin.form import SecureForm
from flask_sqlalchemy import SQLAlchemy

from admin.base import ENDPOINT_PREFIX, may, signed_in
from admin.formats import instant, plain
from admin.listing import Asked, Filter, read_filters
from server.kernel.db import Base

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask import Flask
    from sqlalchemy.engine import Engine

    from server.staff.permissions import Permission


class CoreSQLAlchemy(SQLAlchemy):
    """Flask-SQLAlchemy on the engine the core has already."""

    def _make_engine(self, bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:  # noqa: ARG002 - its own signature
        engine: Engine = app.extensions["huiban"].db.engine
        # On SQLite a session that only reads must not take the one write lock.
        return engine.execution_options(huiban_reading=True)


db = CoreSQLAlchemy(model_class=Base, disable_autonaming=True, add_models_to_shell=False)


def init_app(app: Flask) -> None:
    """Let Flask-SQLAlchemy use the core's engine."""
    app.config.setdefault("SQLALCHEMY_DATABASE_URI", app.extensions["huiban"].settings.resolved_database_url)
    db.init_app(app)


class ReadOnlyModelView(ModelView):  # type: ignore[misc]  # Flask-Admin's types are not complete
    """A table to look at. Subclasses name the columns to show; whatever they do not name stays hidden everywhere.

    Class attributes:
        permission: what reading it needs; None refuses everybody.
        column_list: shown in the list.
        column_details_list: shown in the detail page.
        column_words: column → how its codes read; the code itself stands small below.
        intro: English msgid below the title.
    """

    permission: ClassVar[Permission | None] = None
    slug: ClassVar[str] = ""
    title: ClassVar[str] = ""
    group: ClassVar[str] = ""
    icon: ClassVar[str] = "database"
    order: ClassVar[int] = 90
    intro: ClassVar[str] = ""
    column_words: ClassVar[Mapping[str, Callable[[str], str]]] = {}

    can_create = False
    can_edit = False
    can_delete = False
    can_export = False
    can_view_details = True
    action_disallowed_list = ("delete",)
    form_base_class = SecureForm
    column_list: Any = ()
    column_details_list: Any = ()
    column_searchable_list: Any = ()
    column_filters: Any = ()
    column_editable_list: Any = ()
    page_size = 20
    can_set_page_size = False
    simple_list_pager = True  # no COUNT(*) over a large table
    list_template = "console/model_list.html"
    details_template = "console/model_details.html"

    def __init__(self, model: type[Base]) -> None:
        super().__init__(model, db, name=self.title, endpoint=f"{ENDPOINT_PREFIX}{self.slug}", url=self.slug)

    def filters(self) -> list[Filter]:
        """Return the search block."""
        return []

    def narrowed(self, query: Any, asked: Asked) -> Any:  # noqa: ARG002 - for views with a search block
        """Return the query, narrowed to what was asked for."""
        return query

    def get_query(self) -> Any:
        """Return what the list shows."""
        return self.narrowed(super().get_query(), read_filters(self.filters()))

    def render(self, template: str, **values: Any) -> str:
        """Render a page, the list with its search block."""
        filters = self.filters()
        html: str = super().render(template, search_block=filters, asked=read_filters(filters), **values)
        return html

    def words(self, name: str, value: Any) -> tuple[str, str]:
        """Return how a value reads, and its code where that is something else."""
        if name.endswith("_at"):
            return instant(value), ""
        if name in self.column_words:
            text = self.column_words[name](str(value))
            return text, "" if text == value else str(value)
        return plain(value), ""

    def page_url(self, number: int) -> str:
        """Return the address of another page of the same search."""
        wanted = {name: value for name, value in request.args.items() if name != "page" and value}
        return f"{request.path}?{urlencode({**wanted, 'page': number})}"

    def is_accessible(self) -> bool:
        """Tell whether who is signed in may read it."""
        return self.permission is not None and may(self.permission)

    allows = is_accessible

    def url_to(self, method: str, **values: Any) -> str:
        """Return the address of one of this view's own pages."""
        return url_for(f"{self.endpoint}.{'index_view' if method == 'index' else method}", **values)

    def get_one(self, id: str) -> Any:  # noqa: A002 - Flask-Admin's signature
        """Return the row of an address, or None: what is no number of a row has no row."""
        try:
            key = UUID(id)
        except ValueError:
            return None
        return db.session.get(self.model, key)

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Any:  # noqa: ARG002 - Flask-Admin's signature
        """Send who is not signed in to the log-in, refuse the others."""
        if signed_in() is None and request.method == "GET":
            return redirect(url_for("console_login.index", next=request.full_path))
        return abort(403)

    def _handle_view(self, name: str, **kwargs: Any) -> Any:
        if request.method not in {"GET", "HEAD", "OPTIONS"}:
            abort(403 if signed_in() else 401)
        return super()._handle_view(name, **kwargs)

    def create_blueprint(self, admin: Any) -> Any:
        """Make the blueprint, with our pages for refusals."""
        from werkzeug.exceptions import HTTPException  # noqa: PLC0415 - beside the pages it is paired with

        from admin import errors  # noqa: PLC0415 - the pages of refusals are rendered in this shell

        blueprint = super().create_blueprint(admin)
        blueprint.register_error_handler(HTTPException, errors.on_http_error)
        blueprint.register_error_handler(Exception, errors.on_failure)
        return blueprint

    def create_model(self, form: Any) -> Any:  # noqa: ARG002 - Flask-Admin's signature
        """Refuse."""
        abort(403)

    def update_model(self, form: Any, model: Any) -> Any:  # noqa: ARG002 - as above
        """Refuse."""
        abort(403)

    def delete_model(self, model: Any) -> Any:  # noqa: ARG002 - as above
        """Refuse."""
        abort(403)
