"""growth."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None

_CAUSE_KNOWN = "cause IN ('upgrade','downgrade','renewal','lock','unlock','merge','import','assignment')"


def upgrade() -> None:
    op.create_table('growth_rules',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('draft_slot', sa.BigInteger(), nullable=True),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('edits', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('updated_by', sa.String(length=80), nullable=False),
    sa.Column('published_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'draft') = (draft_slot IS NOT NULL)", name=op.f('ck_growth_rules_draft_has_slot')),
    sa.CheckConstraint("(state = 'published') = (published_at IS NOT NULL)", name=op.f('ck_growth_rules_published_has_instant')),
    sa.CheckConstraint("state IN ('draft','published','dropped')", name=op.f('ck_growth_rules_state_known')),
    sa.CheckConstraint('version >= 1', name=op.f('ck_growth_rules_version_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_growth_rules')),
    sa.UniqueConstraint('draft_slot', name=op.f('uq_growth_rules_draft_slot')),
    sa.UniqueConstraint('version', name=op.f('uq_growth_rules_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('growth_accounts',
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('growth', sa.BigInteger(), nullable=False),
    sa.Column('keep_growth', sa.BigInteger(), nullable=False),
    sa.Column('growth_on', sa.Date(), nullable=True),
    sa.Column('changes_on', sa.Date(), nullable=True),
    sa.Column('due_on', sa.Date(), nullable=True),
    sa.Column('rule_version', sa.BigInteger(), nullable=False),
    sa.Column('period_starts_on', sa.Date(), nullable=True),
    sa.Column('period_ends_on', sa.Date(), nullable=True),
    sa.Column('warned_for', sa.Date(), nullable=True),
    sa.Column('locked_until', sa.Date(), nullable=True),
    sa.Column('lock_reason', sa.String(length=255), nullable=True),
    sa.Column('merged_into', UuidType(), nullable=True),
    sa.Column('opened_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('(locked_until IS NULL) = (lock_reason IS NULL)', name=op.f('ck_growth_accounts_lock_has_reason')),
    sa.CheckConstraint('(period_starts_on IS NULL) = (period_ends_on IS NULL)', name=op.f('ck_growth_accounts_period_whole')),
    sa.CheckConstraint('growth >= 0 AND keep_growth >= 0', name=op.f('ck_growth_accounts_growth_not_negative')),
    sa.CheckConstraint('merged_into IS NULL OR (growth = 0 AND keep_growth = 0 AND due_on IS NULL)', name=op.f('ck_growth_accounts_merged_is_empty')),
    sa.CheckConstraint('period_ends_on >= period_starts_on', name=op.f('ck_growth_accounts_period_forward')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_growth_accounts_member_id')),
    sa.ForeignKeyConstraint(['merged_into'], ['growth_accounts.member_id'], name=op.f('fk_growth_accounts_merged_into')),
    sa.PrimaryKeyConstraint('member_id', name=op.f('pk_growth_accounts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_growth_accounts_due_on'), 'growth_accounts', ['due_on'], unique=False)
    op.create_index(op.f('ix_growth_accounts_merged_into'), 'growth_accounts', ['merged_into'], unique=False)
    op.create_index(op.f('ix_growth_accounts_period_ends_on'), 'growth_accounts', ['period_ends_on'], unique=False)
    op.create_index(op.f('ix_growth_accounts_rule_version'), 'growth_accounts', ['rule_version'], unique=False)
    op.create_table('growth_entries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('growth', sa.BigInteger(), nullable=False),
    sa.Column('counted_on', sa.Date(), nullable=False),
    sa.Column('source_key', sa.String(length=160), nullable=False),
    sa.Column('rule_id', UuidType(), nullable=True),
    sa.Column('reverses_id', UuidType(), nullable=True),
    sa.Column('details', JsonDocument(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(kind = 'reversal') = (reverses_id IS NOT NULL)", name=op.f('ck_growth_entries_reversal_names_entry')),
    sa.CheckConstraint("growth > 0 OR kind IN ('reversal','merge')", name=op.f('ck_growth_entries_only_reversals_take')),
    sa.CheckConstraint("kind <> 'reversal' OR growth < 0", name=op.f('ck_growth_entries_reversal_takes')),
    sa.CheckConstraint("kind IN ('spend','frequency','activity','reversal','merge')", name=op.f('ck_growth_entries_kind_known')),
    sa.CheckConstraint('growth <> 0', name=op.f('ck_growth_entries_growth_not_zero')),
    sa.ForeignKeyConstraint(['member_id'], ['growth_accounts.member_id'], name=op.f('fk_growth_entries_member_id')),
    sa.ForeignKeyConstraint(['reverses_id'], ['growth_entries.id'], name=op.f('fk_growth_entries_reverses_id')),
    sa.ForeignKeyConstraint(['rule_id'], ['growth_rules.id'], name=op.f('fk_growth_entries_rule_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_growth_entries')),
    sa.UniqueConstraint('source_key', name=op.f('uq_growth_entries_source_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_growth_entries_reverses_id'), 'growth_entries', ['reverses_id'], unique=False)
    op.create_index('ix_growth_entries_statement', 'growth_entries', ['member_id', 'occurred_at', 'id'], unique=False)
    op.create_index('ix_growth_entries_window', 'growth_entries', ['member_id', 'counted_on', 'growth'], unique=False)
    op.create_table('tier_gifts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('tier_id', UuidType(), nullable=False),
    sa.Column('reached_on', sa.Date(), nullable=False),
    sa.Column('change_id', UuidType(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=True),
    sa.Column('coupon_id', UuidType(), nullable=True),
    sa.Column('coupon_problem', sa.String(length=40), nullable=True),
    sa.Column('given_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('points >= 0', name=op.f('ck_tier_gifts_points_not_negative')),
    sa.ForeignKeyConstraint(['change_id'], ['tier_changes.id'], name=op.f('fk_tier_gifts_change_id')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_tier_gifts_member_id')),
    sa.ForeignKeyConstraint(['tier_id'], ['tiers.id'], name=op.f('fk_tier_gifts_tier_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tier_gifts')),
    sa.UniqueConstraint('change_id', name=op.f('uq_tier_gifts_change_id')),
    sa.UniqueConstraint('member_id', 'tier_id', 'reached_on', name=op.f('uq_tier_gifts_member_id_tier_id_reached_on')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_tier_gifts_given', 'tier_gifts', ['given_at', 'id'], unique=False)
    op.create_table('growth_orders',
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('spend_entry_id', UuidType(), nullable=True),
    sa.Column('spend', sa.BigInteger(), nullable=False),
    sa.Column('spend_back', sa.BigInteger(), nullable=False),
    sa.Column('frequency_entry_id', UuidType(), nullable=True),
    sa.Column('frequency', sa.BigInteger(), nullable=False),
    sa.Column('frequency_back', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('(frequency = 0) = (frequency_entry_id IS NULL)', name=op.f('ck_growth_orders_frequency_has_entry')),
    sa.CheckConstraint('(spend = 0) = (spend_entry_id IS NULL)', name=op.f('ck_growth_orders_spend_has_entry')),
    sa.CheckConstraint('frequency_back >= 0 AND frequency_back <= frequency', name=op.f('ck_growth_orders_frequency_back_within')),
    sa.CheckConstraint('spend_back >= 0 AND spend_back <= spend', name=op.f('ck_growth_orders_spend_back_within')),
    sa.ForeignKeyConstraint(['frequency_entry_id'], ['growth_entries.id'], name=op.f('fk_growth_orders_frequency_entry_id')),
    sa.ForeignKeyConstraint(['spend_entry_id'], ['growth_entries.id'], name=op.f('fk_growth_orders_spend_entry_id')),
    sa.PrimaryKeyConstraint('order_id', name=op.f('pk_growth_orders')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.add_column('tiers', sa.Column('perks', JsonDocument(), nullable=True))
    if op.get_bind().dialect.name == 'sqlite':
        # SQLite takes a named CHECK with a new column, and with nothing else.
        op.execute(f'ALTER TABLE tier_changes ADD COLUMN cause VARCHAR(16) CONSTRAINT ck_tier_changes_cause_known CHECK ({_CAUSE_KNOWN})')
    else:
        op.add_column('tier_changes', sa.Column('cause', sa.String(length=16), nullable=True))
        op.create_check_constraint(op.f('ck_tier_changes_cause_known'), 'tier_changes', _CAUSE_KNOWN)
    op.create_index('ix_tier_changes_recent', 'tier_changes', ['occurred_at'], unique=False)
    # Who holds a tier already gets an account, so that the first published rule opens a period for it.
    op.execute(
        'INSERT INTO growth_accounts (member_id, growth, keep_growth, rule_version, opened_at) '
        'SELECT member_id, 0, 0, 0, since FROM member_tiers'
    )
    guard_append_only(op, 'growth_entries')


def downgrade() -> None:
    op.drop_index('ix_tier_changes_recent', table_name='tier_changes')
    if op.get_bind().dialect.name != 'sqlite':
        op.drop_constraint(op.f('ck_tier_changes_cause_known'), 'tier_changes', type_='check')
    op.drop_column('tier_changes', 'cause')
    op.drop_column('tiers', 'perks')
    op.drop_table('growth_orders')
    op.drop_table('tier_gifts')
    op.drop_table('growth_entries')
    op.drop_table('growth_accounts')
    op.drop_table('growth_rules')
