"""Earning rules: new kinds, caps over a rule's life, points for events, drafts and dry runs, and why an order earned nothing."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None

_KNOWN = "kind IN ('per_amount','multiplier','event','check_in')"
_KNOWN_BEFORE = "kind IN ('per_amount','check_in')"


def _kinds(known: str, before: str) -> None:
    """Let the rules have other kinds."""
    bind = op.get_bind()
    if bind.dialect.name != 'sqlite':
        op.drop_constraint(op.f('ck_points_rules_kind_known'), 'points_rules', type_='check')
        op.create_check_constraint(op.f('ck_points_rules_kind_known'), 'points_rules', known)
        return
    # SQLite changes a CHECK only by its schema's own text. A copy of the table would lose its guards, and entries point at its rows.
    version = bind.exec_driver_sql('PRAGMA schema_version').scalar_one()
    bind.exec_driver_sql('PRAGMA writable_schema = ON')
    bind.exec_driver_sql(
        "UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'points_rules'", (before, known)
    )
    bind.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    bind.exec_driver_sql('PRAGMA writable_schema = OFF')


def upgrade() -> None:
    _kinds(_KNOWN, _KNOWN_BEFORE)
    op.add_column('points_rules', sa.Column('reason', sa.String(length=300), nullable=True))
    op.add_column('points_rules', sa.Column('dry_run_id', UuidType(), nullable=True))
    op.add_column('orders', sa.Column('points_trace', JsonDocument(), nullable=True))
    op.create_table('points_rule_budgets',
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('given', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('given >= 0', name=op.f('ck_points_rule_budgets_given_not_negative')),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_points_rule_budgets')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_rule_shares',
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('given', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('given >= 0', name=op.f('ck_points_rule_shares_given_not_negative')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_rule_shares_member_id')),
    sa.PrimaryKeyConstraint('member_id', 'code', name=op.f('pk_points_rule_shares')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_event_grants',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('event', sa.String(length=32), nullable=False),
    sa.Column('business_key', sa.String(length=64), nullable=False),
    sa.Column('slot', sa.String(length=64), nullable=True),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.Column('given_at', UtcDateTime(), nullable=False),
    sa.Column('taken_back_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('(slot IS NULL) = (taken_back_at IS NOT NULL)', name=op.f('ck_points_event_grants_slot_until_taken_back')),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_points_event_grants_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_event_grants_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_event_grants')),
    sa.UniqueConstraint('entry_id', name=op.f('uq_points_event_grants_entry_id')),
    sa.UniqueConstraint('event', 'business_key', name=op.f('uq_points_event_grants_event_business_key')),
    sa.UniqueConstraint('member_id', 'event', 'slot', name=op.f('uq_points_event_grants_member_id_event_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_event_grants_day', 'points_event_grants', ['member_id', 'event', 'day'], unique=False)
    op.create_table('points_rule_drafts',
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('valid_from', UtcDateTime(), nullable=True),
    sa.Column('valid_until', UtcDateTime(), nullable=True),
    sa.Column('edits', sa.BigInteger(), nullable=False),
    sa.Column('saved_at', UtcDateTime(), nullable=False),
    sa.Column('saved_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint(_KNOWN, name=op.f('ck_points_rule_drafts_kind_known')),
    sa.CheckConstraint('edits >= 1', name=op.f('ck_points_rule_drafts_edits_positive')),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_points_rule_drafts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_dry_runs',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('transfer_id', UuidType(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('since', sa.Date(), nullable=False),
    sa.Column('until', sa.Date(), nullable=False),
    sa.Column('drafts', JsonDocument(), nullable=False),
    sa.Column('chunk', sa.BigInteger(), nullable=False),
    sa.Column('progress', JsonDocument(), nullable=True),
    sa.Column('result', JsonDocument(), nullable=True),
    sa.Column('asked_at', UtcDateTime(), nullable=False),
    sa.Column('asked_by', sa.String(length=80), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('running','done','failed')", name=op.f('ck_points_dry_runs_state_known')),
    sa.CheckConstraint("(state = 'done') = (result IS NOT NULL)", name=op.f('ck_points_dry_runs_done_has_result')),
    sa.CheckConstraint('since <= until', name=op.f('ck_points_dry_runs_range_in_order')),
    sa.ForeignKeyConstraint(['transfer_id'], ['transfer_jobs.id'], name=op.f('fk_points_dry_runs_transfer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_dry_runs')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_dry_runs_asked', 'points_dry_runs', ['asked_at', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_points_dry_runs_asked', table_name='points_dry_runs')
    op.drop_table('points_dry_runs')
    op.drop_table('points_rule_drafts')
    op.drop_index('ix_points_event_grants_day', table_name='points_event_grants')
    op.drop_table('points_event_grants')
    op.drop_table('points_rule_shares')
    op.drop_table('points_rule_budgets')
    with op.batch_alter_table('orders') as batch:
        batch.drop_column('points_trace')
    op.drop_column('points_rules', 'dry_run_id')
    op.drop_column('points_rules', 'reason')
    _kinds(_KNOWN_BEFORE, _KNOWN)
