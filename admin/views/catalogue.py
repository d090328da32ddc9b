"""Console pages of the catalogue: products, stores and warehouses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request
from flask_babel import gettext
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # newer than its stubs
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from admin.base import ConsoleView, action, current_actor, form_page, now, page
from admin.export import export_list
from admin.formats import Tag
from admin.forms import L_, ConsoleForm, FormPage, FormSection, MoneyField, SelectField, StringField
from admin.listing import Column, Filter, ListPage, RowAction, Table, read_filters
from server.catalogue import queries, service
from server.catalogue.rules import PlaceDraft, ProductDraft
from server.kernel.pagination import PageRequest
from server.kernel.text import N_
from server.staff.permissions import Permission

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

ACTIVE: dict[Any, Tag] = {True: Tag(N_("On sale"), "green"), False: Tag(N_("Not on sale"), "grey")}
WORKING: dict[Any, Tag] = {True: Tag(N_("In operation"), "green"), False: Tag(N_("Out of operation"), "grey")}
_YES_NO = [SelectChoice("yes", L_("Yes")), SelectChoice("no", L_("No"))]


class ProductForm(ConsoleForm):
    """A product."""

    sku = StringField(L_("SKU"), [InputRequired(), Length(max=64)])
    name = StringField(L_("Name"), [InputRequired(), Length(max=191)])
    category = StringField(L_("Category"), [Length(max=120)])
    brand = StringField(L_("Brand"), [Length(max=120)])
    price_fen = MoneyField(L_("List price (yuan)"), [Optional(), NumberRange(min=0)])
    active = SelectField(L_("On sale"), choices=_YES_NO, default="yes")


class PlaceForm(ConsoleForm):
    """A store or warehouse."""

    code = StringField(L_("Code"), [InputRequired(), Length(max=64)])
    name = StringField(L_("Name"), [InputRequired(), Length(max=191)])
    region = StringField(L_("Region"), [Length(max=64)])
    active = SelectField(L_("In operation"), choices=_YES_NO, default="yes")


class ProductsView(ConsoleView):
    """Products: list, new, edit."""

    slug = "products"
    title = N_("Products")
    group = "catalogue"
    icon = "package"
    order = 10
    permission = Permission.CATALOGUE_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List products."""
        return self._list(PageRequest.of(20, self.cursor)).render(self)

    @action("/export", Permission.EXPORTS_CREATE)
    def export(self) -> ResponseReturnValue:
        """Download what the list shows."""
        return export_list("products", self._list)

    def _list(self, place: PageRequest) -> ListPage:
        filters = [
            Filter("q", N_("Keyword"), placeholder=N_("Whole SKU, or how the name begins")),
            Filter("category", N_("Category"), placeholder=N_("Whole category code")),
        ]
        asked = read_filters(filters)
        with self.reading() as session:
            found = queries.products(session, place, text=asked.text("q"), category=asked.text("category"))
        table = Table(
            [
                Column(N_("Product"), "name", second="sku", second_label=N_("SKU")),
                Column(N_("Category"), lambda row: row.category or ""),
                Column(N_("Brand"), lambda row: row.brand or ""),
                Column(N_("List price"), "price_fen", "money"),
                Column(N_("State"), "active", "tag", tags=ACTIVE),
            ],
            found.items,
            lambda row: [RowAction(N_("Edit"), self.url_to("edit", sku=row.sku), Permission.CATALOGUE_EDIT)],
            empty=N_("No products match"),
        )
        buttons = [RowAction(N_("New product"), self.url_to("edit"), Permission.CATALOGUE_EDIT, tone="primary", icon="plus")]
        return ListPage(N_("Products"), table, filters, asked, found.next_cursor, buttons, export=True)

    @form_page("/edit", Permission.CATALOGUE_EDIT)
    def edit(self) -> ResponseReturnValue:
        """Write a product under its SKU."""
        with self.reading() as session:
            known = queries.find_product(session, request.args.get("sku", ""))
        form = ProductForm(data=_product_data(known))
        actor = current_actor()
        done, _ = self.submit(
            form,
            lambda session: service.upsert_product(
                session,
                ProductDraft(
                    sku=(form.sku.data or "").strip(),
                    name=(form.name.data or "").strip(),
                    category=(form.category.data or "").strip() or None,
                    brand=(form.brand.data or "").strip() or None,
                    price_fen=form.price_fen.data,
                    active=form.active.data == "yes",
                ),
                actor=actor,
                now=now(),
            ),
        )
        if done:
            flash(gettext("The product is saved."), "success")
            return redirect(self.url_to("index"))
        sections = [FormSection(N_("Product"), ["sku", "name", "category", "brand", "price_fen", "active"])]
        return FormPage(N_("Edit product") if known else N_("New product"), form, sections, back=self.url_to("index")).render(self)


def _product_data(known: queries.ProductView | None) -> dict[str, Any] | None:
    if known is None:
        return None
    return {
        "sku": known.sku,
        "name": known.name,
        "category": known.category,
        "brand": known.brand,
        "price_fen": known.price_fen,
        "active": "yes" if known.active else "no",
    }


class StoresView(ConsoleView):
    """Stores and warehouses: list, new, edit."""

    slug = "stores"
    title = N_("Stores and warehouses")
    group = "catalogue"
    icon = "store"
    order = 20
    permission = Permission.CATALOGUE_READ

    @page("/")
    def index(self) -> ResponseReturnValue:
        """List stores."""
        with self.reading() as session:
            found = queries.stores(session, PageRequest.of(20, self.cursor))
        buttons = [
            RowAction(N_("Warehouses"), self.url_to("warehouses")),
            RowAction(N_("New store"), self.url_to("edit_store"), Permission.CATALOGUE_EDIT, tone="primary", icon="plus"),
        ]
        table = self._table(found.items, "edit_store")
        return ListPage(N_("Stores"), table, next_cursor=found.next_cursor, buttons=buttons).render(self)

    @page("/warehouses")
    def warehouses(self) -> ResponseReturnValue:
        """List warehouses."""
        with self.reading() as session:
            rows = queries.warehouses(session)
        buttons = [
            RowAction(N_("Stores"), self.url_to("index")),
            RowAction(N_("New warehouse"), self.url_to("edit_warehouse"), Permission.CATALOGUE_EDIT, tone="primary", icon="plus"),
        ]
        return ListPage(N_("Warehouses"), self._table(rows, "edit_warehouse"), buttons=buttons).render(self)

    @form_page("/edit", Permission.CATALOGUE_EDIT)
    def edit_store(self) -> ResponseReturnValue:
        """Write a store under its code."""
        with self.reading() as session:
            known = queries.find_store(session, request.args.get("code", ""))
        return self._edit(N_("Edit store") if known else N_("New store"), known, service.upsert_store, "index")

    @form_page("/warehouses/edit", Permission.CATALOGUE_EDIT)
    def edit_warehouse(self) -> ResponseReturnValue:
        """Write a warehouse under its code."""
        with self.reading() as session:
            known = queries.find_warehouse(session, request.args.get("code", ""))
        return self._edit(N_("Edit warehouse") if known else N_("New warehouse"), known, service.upsert_warehouse, "warehouses")

    def _table(self, rows: Any, edit: str) -> Table:
        return Table(
            [
                Column(N_("Name"), "name", second="code"),
                Column(N_("Region"), lambda row: row.region or ""),
                Column(N_("State"), "active", "tag", tags=WORKING),
            ],
            rows,
            lambda row: [RowAction(N_("Edit"), self.url_to(edit, code=row.code), Permission.CATALOGUE_EDIT)],
            empty=N_("Nothing here yet"),
        )

    def _edit(self, title: str, known: queries.PlaceView | None, upsert: Any, back: str) -> ResponseReturnValue:
        data = None
        if known is not None:
            data = {"code": known.code, "name": known.name, "region": known.region, "active": "yes" if known.active else "no"}
        form, actor = PlaceForm(data=data), current_actor()

        def save(session: Any) -> Any:
            code, name, region = ((field.data or "").strip() for field in (form.code, form.name, form.region))
            draft = PlaceDraft(code=code, name=name, region=region or None, active=form.active.data == "yes")
            return upsert(session, draft, actor=actor, now=now())

        done, _ = self.submit(form, save)
        if done:
            flash(gettext("Saved."), "success")
            return redirect(self.url_to(back))
        sections = [FormSection(title, ["code", "name", "region", "active"])]
        return FormPage(title, form, sections, back=self.url_to(back)).render(self)


VIEWS = [ProductsView, StoresView]
