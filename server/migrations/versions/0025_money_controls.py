"""Control of the money: requests that a second person decides, controls, notices of expiry, closed months."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None

_ACCOUNTS = "account IN ('pending','available','reserved','debt','issuer','redeemed','expired','forgiven')"


def upgrade() -> None:
    op.create_table('staff_approvals',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('key', sa.String(length=191), nullable=False),
    sa.Column('kind', sa.String(length=40), nullable=False),
    sa.Column('subject_type', sa.String(length=32), nullable=False),
    sa.Column('subject_id', sa.String(length=64), nullable=False),
    sa.Column('payload', JsonDocument(), nullable=False),
    sa.Column('reason', sa.String(length=255), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('asked_kind', sa.String(length=16), nullable=False),
    sa.Column('asked_ref', sa.String(length=80), nullable=False),
    sa.Column('asked_name', sa.String(length=120), nullable=False),
    sa.Column('asked_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('decided_kind', sa.String(length=16), nullable=True),
    sa.Column('decided_ref', sa.String(length=80), nullable=True),
    sa.Column('decided_name', sa.String(length=120), nullable=True),
    sa.Column('decided_at', UtcDateTime(), nullable=True),
    sa.Column('decision_reason', sa.String(length=255), nullable=True),
    sa.Column('outcome', JsonDocument(), nullable=True),
    sa.CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name=op.f('ck_staff_approvals_decided_when_closed')),
    sa.CheckConstraint("state IN ('pending','approved','refused','withdrawn','expired')", name=op.f('ck_staff_approvals_state_known')),
    sa.CheckConstraint("state NOT IN ('approved','refused') OR decided_kind = 'staff'", name=op.f('ck_staff_approvals_decided_by_staff')),
    sa.CheckConstraint("state NOT IN ('approved','refused') OR decided_ref <> asked_ref", name=op.f('ck_staff_approvals_four_eyes')),
    sa.CheckConstraint('expires_at > asked_at', name=op.f('ck_staff_approvals_expires_after_asked')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_approvals')),
    sa.UniqueConstraint('key', name=op.f('uq_staff_approvals_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_staff_approvals_due', 'staff_approvals', ['state', 'expires_at'], unique=False)
    op.create_index('ix_staff_approvals_queue', 'staff_approvals', ['state', 'asked_at', 'id'], unique=False)
    op.create_index('ix_staff_approvals_subject', 'staff_approvals', ['subject_type', 'subject_id', 'state'], unique=False)
    op.create_table('points_controls',
    sa.Column('version', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('adjust_limit', sa.BigInteger(), nullable=False),
    sa.Column('notice_min_points', sa.BigInteger(), nullable=False),
    sa.Column('points_per_yuan', sa.BigInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.CheckConstraint('adjust_limit >= 0', name=op.f('ck_points_controls_limit_not_negative')),
    sa.CheckConstraint('notice_min_points >= 1', name=op.f('ck_points_controls_notice_worth_something')),
    sa.CheckConstraint('points_per_yuan IS NULL OR points_per_yuan >= 1', name=op.f('ck_points_controls_worth_something')),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_points_controls')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_expiry_notices',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('horizon_days', sa.BigInteger(), nullable=False),
    sa.Column('told_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('horizon_days > 0', name=op.f('ck_points_expiry_notices_horizon_positive')),
    sa.ForeignKeyConstraint(['member_id'], ['points_accounts.member_id'], name=op.f('fk_points_expiry_notices_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_expiry_notices')),
    sa.UniqueConstraint('member_id', 'day', 'horizon_days', name=op.f('uq_points_expiry_notices_member_id_day_horizon_days')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_expiry_notices_day', 'points_expiry_notices', ['day', 'id'], unique=False)
    op.create_table('points_months',
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('cutoff', UuidType(), nullable=False),
    sa.Column('entries', sa.BigInteger(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('points_per_yuan', sa.BigInteger(), nullable=False),
    sa.Column('liability_points', sa.BigInteger(), nullable=False),
    sa.Column('liability_fen', sa.BigInteger(), nullable=False),
    sa.Column('closed_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('entries >= 0', name=op.f('ck_points_months_entries_not_negative')),
    sa.CheckConstraint('liability_points >= 0 AND liability_fen >= 0', name=op.f('ck_points_months_liability_not_negative')),
    sa.CheckConstraint('points_per_yuan >= 1', name=op.f('ck_points_months_worth_something')),
    sa.PrimaryKeyConstraint('month', name=op.f('pk_points_months')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_month_accounts',
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('account', sa.String(length=16), nullable=False),
    sa.Column('opening', sa.BigInteger(), nullable=False),
    sa.Column('issued', sa.BigInteger(), nullable=False),
    sa.Column('redeemed', sa.BigInteger(), nullable=False),
    sa.Column('expired', sa.BigInteger(), nullable=False),
    sa.Column('reversed', sa.BigInteger(), nullable=False),
    sa.Column('adjusted', sa.BigInteger(), nullable=False),
    sa.Column('forgiven', sa.BigInteger(), nullable=False),
    sa.Column('moved', sa.BigInteger(), nullable=False),
    sa.Column('closing', sa.BigInteger(), nullable=False),
    sa.CheckConstraint(_ACCOUNTS, name=op.f('ck_points_month_accounts_account_known')),
    sa.CheckConstraint('closing = opening + issued + redeemed + expired + reversed + adjusted + forgiven + moved', name=op.f('ck_points_month_accounts_closing_adds_up')),
    sa.ForeignKeyConstraint(['month'], ['points_months.month'], name=op.f('fk_points_month_accounts_month')),
    sa.PrimaryKeyConstraint('month', 'account', name=op.f('pk_points_month_accounts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_month_cohorts',
    sa.Column('month', sa.Date(), nullable=False),
    sa.Column('cohort', sa.Date(), nullable=False),
    sa.Column('issued', sa.BigInteger(), nullable=False),
    sa.Column('redeemed', sa.BigInteger(), nullable=False),
    sa.Column('expired', sa.BigInteger(), nullable=False),
    sa.Column('reversed', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['month'], ['points_months.month'], name=op.f('fk_points_month_cohorts_month')),
    sa.PrimaryKeyConstraint('month', 'cohort', name=op.f('pk_points_month_cohorts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('points_openings',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('name', sa.String(length=191), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('balances', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('known', sa.BigInteger(), nullable=False),
    sa.Column('faults', JsonDocument(), nullable=False),
    sa.Column('approval_id', UuidType(), nullable=True),
    sa.Column('transfer_id', UuidType(), nullable=True),
    sa.Column('done_line', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('balances >= 0 AND points >= 0 AND known >= 0', name=op.f('ck_points_openings_counts_not_negative')),
    sa.CheckConstraint('transfer_id IS NULL OR approval_id IS NOT NULL', name=op.f('ck_points_openings_asked_first')),
    sa.ForeignKeyConstraint(['approval_id'], ['staff_approvals.id'], name=op.f('fk_points_openings_approval_id')),
    sa.ForeignKeyConstraint(['transfer_id'], ['transfer_jobs.id'], name=op.f('fk_points_openings_transfer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_points_openings')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_points_openings_newest', 'points_openings', ['created_at', 'id'], unique=False)
    op.create_table('points_opening_rows',
    sa.Column('opening_id', UuidType(), nullable=False),
    sa.Column('line', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('key', sa.String(length=80), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('expires_on', sa.Date(), nullable=True),
    sa.Column('note', sa.String(length=200), nullable=False),
    sa.CheckConstraint('points > 0', name=op.f('ck_points_opening_rows_points_positive')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_points_opening_rows_member_id')),
    sa.ForeignKeyConstraint(['opening_id'], ['points_openings.id'], name=op.f('fk_points_opening_rows_opening_id')),
    sa.PrimaryKeyConstraint('opening_id', 'line', name=op.f('pk_points_opening_rows')),
    sa.UniqueConstraint('opening_id', 'key', name=op.f('uq_points_opening_rows_opening_id_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    guard_append_only(
        op, 'points_controls', 'points_months', 'points_month_accounts', 'points_month_cohorts', 'points_opening_rows'
    )


def downgrade() -> None:
    op.drop_table('points_opening_rows')
    op.drop_index('ix_points_openings_newest', table_name='points_openings')
    op.drop_table('points_openings')
    op.drop_table('points_month_cohorts')
    op.drop_table('points_month_accounts')
    op.drop_table('points_months')
    op.drop_index('ix_points_expiry_notices_day', table_name='points_expiry_notices')
    op.drop_table('points_expiry_notices')
    op.drop_table('points_controls')
    op.drop_index('ix_staff_approvals_subject', table_name='staff_approvals')
    op.drop_index('ix_staff_approvals_queue', table_name='staff_approvals')
    op.drop_index('ix_staff_approvals_due', table_name='staff_approvals')
    op.drop_table('staff_approvals')
