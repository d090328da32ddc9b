"""points."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('points_rules',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.String(length=24), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('valid_from', UtcDateTime(), nullable=True),
    sa.Column('valid_until', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint("kind IN ('per_amount','check_in')", name=op.f('ck_points_rules_kind_known')),
    sa.CheckConstraint('version >= 1', name=op.f('ck_points_rules_version_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_rules')),
    sa.UniqueConstraint('code', 'version', name=op.f('uq_points_rules_code_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_settings',
    sa.Column('version', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('debt_policy', sa.String(length=16), nullable=False),
    sa.Column('reopen_days', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint("debt_policy IN ('within_balance','negative')", name=op.f('ck_points_settings_debt_policy_known')),
    sa.CheckConstraint('reopen_days >= 1', name=op.f('ck_points_settings_reopen_days_positive')),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_points_settings')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_accounts',
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('pending', sa.BigInteger(), nullable=False),
    sa.Column('available', sa.BigInteger(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.Column('debt_owed', sa.BigInteger(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('merged_into', UuidType(), nullable=True),
    sa.Column('opened_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('available >= 0', name=op.f('ck_points_accounts_available_not_negative')),
    sa.CheckConstraint('debt_owed >= 0', name=op.f('ck_points_accounts_debt_owed_not_negative')),
    sa.CheckConstraint('pending >= 0', name=op.f('ck_points_accounts_pending_not_negative')),
    sa.CheckConstraint('reserved >= 0', name=op.f('ck_points_accounts_reserved_not_negative')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_points_accounts_member_id')),
    sa.ForeignKeyConstraint(['merged_into'], ['points_accounts.member_id'], name=op.f('fk_points_accounts_merged_into')),
    sa.PrimaryKeyConstraint('member_id', name=op.f('pk_points_accounts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_points_accounts_merged_into'), 'points_accounts', ['merged_into'], unique=False)
    op.create_table('points_entries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('source_namespace', sa.String(length=60), nullable=False),
    sa.Column('source_key', sa.String(length=120), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('reason', sa.String(length=255), nullable=False),
    sa.Column('rule_id', UuidType(), nullable=True),
    sa.Column('reverses_id', UuidType(), nullable=True),
    sa.Column('details', JsonDocument(), nullable=True),
    sa.Column('available_after', sa.BigInteger(), nullable=False),
    sa.Column('pending_after', sa.BigInteger(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('business_day', sa.Date(), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=80), nullable=False),
    sa.CheckConstraint("kind IN ('accrue','unlock','reserve','release','redeem','return','expire','reverse','adjust','merge')", name=op.f('ck_points_entries_kind_known')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_entries_member_id')),
    sa.ForeignKeyConstraint(['reverses_id'], ['points_entries.id'], name=op.f('fk_points_entries_reverses_id')),
    sa.ForeignKeyConstraint(['rule_id'], ['points_rules.id'], name=op.f('fk_points_entries_rule_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_entries')),
    sa.UniqueConstraint('source_namespace', 'source_key', name=op.f('uq_points_entries_source_namespace_source_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_entries_day', 'points_entries', ['business_day', 'kind'], unique=False)
    op.create_index('ix_points_entries_recent', 'points_entries', ['occurred_at', 'id'], unique=False)
    op.create_index(op.f('ix_points_entries_reverses_id'), 'points_entries', ['reverses_id'], unique=False)
    op.create_index('ix_points_entries_statement', 'points_entries', ['member_id', 'occurred_at', 'id'], unique=False)
    op.create_table('points_check_ins',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('streak_days', sa.BigInteger(), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=True),
    sa.CheckConstraint('streak_days >= 1', name=op.f('ck_points_check_ins_streak_positive')),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_points_check_ins_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_check_ins_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_check_ins')),
    sa.UniqueConstraint('member_id', 'day', name=op.f('uq_points_check_ins_member_id_day')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_lots',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('left_', sa.BigInteger(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('unlock_at', UtcDateTime(), nullable=True),
    sa.Column('expires_at', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(state = 'closed') = (left_ = 0)", name=op.f('ck_points_lots_closed_when_empty')),
    sa.CheckConstraint("state <> 'pending' OR reserved = 0", name=op.f('ck_points_lots_pending_not_reserved')),
    sa.CheckConstraint("state IN ('pending','available','closed')", name=op.f('ck_points_lots_state_known')),
    sa.CheckConstraint('left_ >= 0 AND left_ <= amount', name=op.f('ck_points_lots_left_within_amount')),
    sa.CheckConstraint('reserved >= 0 AND reserved <= left_', name=op.f('ck_points_lots_reserved_within_left')),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_points_lots_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_lots_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_lots')),
    sa.UniqueConstraint('entry_id', name=op.f('uq_points_lots_entry_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_lots_expire', 'points_lots', ['state', 'expires_at'], unique=False)
    op.create_index('ix_points_lots_member', 'points_lots', ['member_id', 'created_at', 'id'], unique=False)
    op.create_index('ix_points_lots_spend', 'points_lots', ['member_id', 'state', 'expires_at'], unique=False)
    op.create_index('ix_points_lots_unlock', 'points_lots', ['state', 'unlock_at'], unique=False)
    op.create_table('points_postings',
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.Column('line', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('account', sa.String(length=16), nullable=False),
    sa.Column('member_id', UuidType(), nullable=True),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.CheckConstraint("(account IN ('issuer','redeemed','expired','forgiven')) = (member_id IS NULL)", name=op.f('ck_points_postings_owner_fits')),
    sa.CheckConstraint("account IN ('pending','available','reserved','debt','issuer','redeemed','expired','forgiven')", name=op.f('ck_points_postings_account_known')),
    sa.CheckConstraint('amount <> 0', name=op.f('ck_points_postings_amount_not_zero')),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_points_postings_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_postings_member_id')),
    sa.PrimaryKeyConstraint('entry_id', 'line', name=op.f('pk_points_postings')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_points_postings_member_id'), 'points_postings', ['member_id'], unique=False)
    op.create_table('points_reservations',
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("state IN ('open','redeemed','released')", name=op.f('ck_points_reservations_state_known')),
    sa.CheckConstraint('points > 0', name=op.f('ck_points_reservations_points_positive')),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_points_reservations_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_reservations_member_id')),
    sa.PrimaryKeyConstraint('entry_id', name=op.f('pk_points_reservations')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_reservations_due', 'points_reservations', ['state', 'expires_at'], unique=False)
    op.create_index(op.f('ix_points_reservations_member_id'), 'points_reservations', ['member_id'], unique=False)
    op.create_table('points_allocations',
    sa.Column('entry_id', UuidType(), nullable=False),
    sa.Column('lot_id', UuidType(), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['entry_id'], ['points_entries.id'], name=op.f('fk_points_allocations_entry_id')),
    sa.ForeignKeyConstraint(['lot_id'], ['points_lots.id'], name=op.f('fk_points_allocations_lot_id')),
    sa.PrimaryKeyConstraint('entry_id', 'lot_id', name=op.f('pk_points_allocations')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_points_allocations_lot_id'), 'points_allocations', ['lot_id'], unique=False)
    guard_append_only(op, 'points_entries', 'points_postings', 'points_allocations', 'points_rules', 'points_settings')


def downgrade() -> None:
    op.drop_index(op.f('ix_points_allocations_lot_id'), table_name='points_allocations')
    op.drop_table('points_allocations')
    op.drop_index(op.f('ix_points_reservations_member_id'), table_name='points_reservations')
    op.drop_index('ix_points_reservations_due', table_name='points_reservations')
    op.drop_table('points_reservations')
    op.drop_index(op.f('ix_points_postings_member_id'), table_name='points_postings')
    op.drop_table('points_postings')
    op.drop_index('ix_points_lots_unlock', table_name='points_lots')
    op.drop_index('ix_points_lots_spend', table_name='points_lots')
    op.drop_index('ix_points_lots_member', table_name='points_lots')
    op.drop_index('ix_points_lots_expire', table_name='points_lots')
    op.drop_table('points_lots')
    op.drop_table('points_check_ins')
    op.drop_index('ix_points_entries_statement', table_name='points_entries')
    op.drop_index(op.f('ix_points_entries_reverses_id'), table_name='points_entries')
    op.drop_index('ix_points_entries_recent', table_name='points_entries')
    op.drop_index('ix_points_entries_day', table_name='points_entries')
    op.drop_table('points_entries')
    op.drop_index(op.f('ix_points_accounts_merged_into'), table_name='points_accounts')
    op.drop_table('points_accounts')
    op.drop_table('points_settings')
    op.drop_table('points_rules')
