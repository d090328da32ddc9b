"""Alembic's entry: runs the migrations on the connection that ``server.migrations.runner`` hands over."""

from __future__ import annotations

from alembic import context

from server.bootstrap import load_models
from server.kernel.db import Base
from server.migrations.runner import render_item

load_models()
options = context.config.attributes
context.configure(
    connection=options["connection"],
    target_metadata=Base.metadata,
    render_item=render_item,
    compare_type=False,
    render_as_batch=False,
    include_name=options.get("include_name"),
    include_object=options.get("include_object"),
    # MariaDB commits at every DDL statement; the others do a migration whole or not at all.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
