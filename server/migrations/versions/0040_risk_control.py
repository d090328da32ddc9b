"""The block list, velocity rules, holds, and what was refused."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0040'
down_revision = '0039'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('risk_rule_versions',
    sa.Column('version', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('rules', JsonDocument(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.PrimaryKeyConstraint('version', name=op.f('pk_risk_rule_versions')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('risk_subjects',
    sa.Column('mark', sa.String(length=90), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('mark', name=op.f('pk_risk_subjects')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_risk_subjects_seen_at'), 'risk_subjects', ['seen_at'], unique=False)
    op.create_table('risk_entries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('mark', sa.String(length=90), nullable=True),
    sa.Column('member_id', UuidType(), nullable=True),
    sa.Column('hint', sa.String(length=40), nullable=False),
    sa.Column('scope', sa.String(length=12), nullable=False),
    sa.Column('live_slot', sa.String(length=120), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('until', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.Column('ended_by', sa.String(length=120), nullable=True),
    sa.CheckConstraint("(kind = 'member') = (member_id IS NOT NULL)", name=op.f('ck_risk_entries_member_has_id')),
    sa.CheckConstraint("kind IN ('member','phone','device','address')", name=op.f('ck_risk_entries_kind_known')),
    sa.CheckConstraint("scope IN ('coupons','points','rewards','referrals','all')", name=op.f('ck_risk_entries_scope_known')),
    sa.CheckConstraint('(live_slot IS NULL) = (ended_at IS NOT NULL)', name=op.f('ck_risk_entries_live_until_ended')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_risk_entries_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_risk_entries')),
    sa.UniqueConstraint('live_slot', name=op.f('uq_risk_entries_live_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_risk_entries_mark'), 'risk_entries', ['mark'], unique=False)
    op.create_index(op.f('ix_risk_entries_member_id'), 'risk_entries', ['member_id'], unique=False)
    op.create_index('ix_risk_entries_newest', 'risk_entries', ['created_at', 'id'], unique=False)
    op.create_table('risk_marks',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('mark', sa.String(length=90), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("kind IN ('phone','device','address')", name=op.f('ck_risk_marks_kind_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_risk_marks_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_risk_marks')),
    sa.UniqueConstraint('member_id', 'mark', name=op.f('uq_risk_marks_member_id_mark')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_risk_marks_mark'), 'risk_marks', ['mark'], unique=False)
    op.create_index(op.f('ix_risk_marks_seen_at'), 'risk_marks', ['seen_at'], unique=False)
    op.create_table('risk_passes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('scope', sa.String(length=12), nullable=False),
    sa.Column('until', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.CheckConstraint("scope IN ('coupons','points','rewards','referrals')", name=op.f('ck_risk_passes_scope_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_risk_passes_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_risk_passes')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_risk_passes_member', 'risk_passes', ['member_id', 'scope'], unique=False)
    op.create_table('risk_refusals',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('way', sa.String(length=12), nullable=False),
    sa.Column('scope', sa.String(length=12), nullable=False),
    sa.Column('cause', sa.String(length=60), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=True),
    sa.Column('rule_code', sa.String(length=40), nullable=True),
    sa.Column('rule_version', sa.BigInteger(), nullable=True),
    sa.Column('mark', sa.String(length=90), nullable=True),
    sa.Column('once_key', sa.String(length=80), nullable=True),
    sa.Column('released_at', UtcDateTime(), nullable=True),
    sa.Column('released_by', sa.String(length=120), nullable=True),
    sa.Column('released_why', sa.String(length=500), nullable=True),
    sa.CheckConstraint("scope IN ('coupons','points','rewards','referrals')", name=op.f('ck_risk_refusals_scope_known')),
    sa.CheckConstraint('(entry_id IS NULL) <> (rule_code IS NULL)', name=op.f('ck_risk_refusals_one_cause')),
    sa.CheckConstraint('(released_at IS NULL) = (released_by IS NULL)', name=op.f('ck_risk_refusals_released_by_somebody')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_risk_refusals_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_risk_refusals')),
    sa.UniqueConstraint('once_key', name=op.f('uq_risk_refusals_once_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_risk_refusals_member', 'risk_refusals', ['member_id', 'occurred_at'], unique=False)
    op.create_index('ix_risk_refusals_newest', 'risk_refusals', ['occurred_at', 'id'], unique=False)
    op.create_table('risk_tries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('mark', sa.String(length=90), nullable=False),
    sa.Column('way', sa.String(length=12), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('tried_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_risk_tries_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_risk_tries')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_risk_tries_counted', 'risk_tries', ['mark', 'way', 'tried_at'], unique=False)
    op.create_index(op.f('ix_risk_tries_member_id'), 'risk_tries', ['member_id'], unique=False)
    op.create_index(op.f('ix_risk_tries_tried_at'), 'risk_tries', ['tried_at'], unique=False)
    op.create_table('risk_holds',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('scope', sa.String(length=12), nullable=False),
    sa.Column('cause', sa.String(length=60), nullable=False),
    sa.Column('entry_id', UuidType(), nullable=True),
    sa.Column('until', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("scope IN ('coupons','points','rewards','referrals')", name=op.f('ck_risk_holds_scope_known')),
    sa.ForeignKeyConstraint(['entry_id'], ['risk_entries.id'], name=op.f('fk_risk_holds_entry_id')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_risk_holds_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_risk_holds')),
    sa.UniqueConstraint('member_id', 'scope', 'cause', name=op.f('uq_risk_holds_member_id_scope_cause')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_risk_holds_entry_id'), 'risk_holds', ['entry_id'], unique=False)
    op.create_index(op.f('ix_risk_holds_until'), 'risk_holds', ['until'], unique=False)
    guard_append_only(op, 'risk_rule_versions')


def downgrade() -> None:
    op.drop_index(op.f('ix_risk_holds_until'), table_name='risk_holds')
    op.drop_index(op.f('ix_risk_holds_entry_id'), table_name='risk_holds')
    op.drop_table('risk_holds')
    op.drop_index(op.f('ix_risk_tries_tried_at'), table_name='risk_tries')
    op.drop_index(op.f('ix_risk_tries_member_id'), table_name='risk_tries')
    op.drop_index('ix_risk_tries_counted', table_name='risk_tries')
    op.drop_table('risk_tries')
    op.drop_index('ix_risk_refusals_newest', table_name='risk_refusals')
    op.drop_index('ix_risk_refusals_member', table_name='risk_refusals')
    op.drop_table('risk_refusals')
    op.drop_index('ix_risk_passes_member', table_name='risk_passes')
    op.drop_table('risk_passes')
    op.drop_index(op.f('ix_risk_marks_seen_at'), table_name='risk_marks')
    op.drop_index(op.f('ix_risk_marks_mark'), table_name='risk_marks')
    op.drop_table('risk_marks')
    op.drop_index('ix_risk_entries_newest', table_name='risk_entries')
    op.drop_index(op.f('ix_risk_entries_member_id'), table_name='risk_entries')
    op.drop_index(op.f('ix_risk_entries_mark'), table_name='risk_entries')
    op.drop_table('risk_entries')
    op.drop_index(op.f('ix_risk_subjects_seen_at'), table_name='risk_subjects')
    op.drop_table('risk_subjects')
    op.drop_table('risk_rule_versions')
