"""Sums of messages and allowances, whom messages reach, the indexes they are made from, and festivals."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0038'
down_revision = '0037'
branch_labels = None
depends_on = None

_OPTIONS = {'mysql_charset': 'utf8mb4', 'mysql_collate': 'utf8mb4_bin', 'mysql_engine': 'InnoDB'}


def upgrade() -> None:
    op.create_table('roll_up_marks',
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('until', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_roll_up_marks')),
    **_OPTIONS
    )
    op.create_table('message_hours',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('hour', UtcDateTime(), nullable=False),
    sa.Column('template', sa.String(length=40), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.Column('messages', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('messages > 0', name=op.f('ck_message_hours_messages_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message_hours')),
    sa.UniqueConstraint('hour', 'template', 'state', 'reason', name=op.f('uq_message_hours_hour_template_state_reason')),
    **_OPTIONS
    )
    counts = ['members', 'muted', 'capped', 'no_wechat', 'no_grant', 'reachable', 'reachable_2', 'reachable_3', 'reachable_5', 'reachable_10']
    op.create_table('message_reach',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('template', sa.String(length=40), nullable=False),
    sa.Column('tier', sa.String(length=40), nullable=False),
    *[sa.Column(name, sa.BigInteger(), nullable=False) for name in counts],
    sa.CheckConstraint(
        'members = muted + capped + no_wechat + no_grant + reachable', name=op.f('ck_message_reach_everybody_once')
    ),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_message_reach')),
    sa.UniqueConstraint('template', 'tier', name=op.f('uq_message_reach_template_tier')),
    **_OPTIONS
    )
    op.create_table('allowance_days',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('template', sa.String(length=40), nullable=False),
    sa.Column('credited', sa.BigInteger(), nullable=False),
    sa.Column('spent', sa.BigInteger(), nullable=False),
    sa.Column('lost', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('credited >= 0 AND spent >= 0 AND lost >= 0', name=op.f('ck_allowance_days_counts_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_allowance_days')),
    sa.UniqueConstraint('day', 'template', name=op.f('uq_allowance_days_day_template')),
    **_OPTIONS
    )
    op.create_index('ix_notification_messages_state', 'notification_messages', ['state', 'created_at', 'id'], unique=False)
    op.create_index('ix_notification_messages_changed', 'notification_messages', ['updated_at', 'created_at'], unique=False)
    op.create_index('ix_notification_grant_entries_when', 'notification_grant_entries', ['occurred_at', 'template', 'kind'], unique=False)

    _festivals()


def _festivals() -> None:
    op.create_table('festivals',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('looked_until', sa.Date(), nullable=True),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_festivals')),
    sa.UniqueConstraint('code', name=op.f('uq_festivals_code')),
    **_OPTIONS
    )
    op.create_table('festival_versions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('festival_id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=80), nullable=False),
    sa.ForeignKeyConstraint(['festival_id'], ['festivals.id'], name=op.f('fk_festival_versions_festival_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_festival_versions')),
    sa.UniqueConstraint('festival_id', 'version', name=op.f('uq_festival_versions_festival_id_version')),
    **_OPTIONS
    )
    guard_append_only(op, 'festival_versions')
    op.create_table('festival_runs',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('festival_id', UuidType(), nullable=False),
    sa.Column('year', sa.BigInteger(), nullable=False),
    sa.Column('celebrated_on', sa.Date(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('document', JsonDocument(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('after_id', UuidType(), nullable=True),
    sa.Column('joined_before', UtcDateTime(), nullable=False),
    sa.Column('given', sa.BigInteger(), nullable=False),
    sa.Column('refused', sa.BigInteger(), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('running','done','stopped','given_up')", name=op.f('ck_festival_runs_state_known')),
    sa.CheckConstraint("(state = 'running') = (ended_at IS NULL)", name=op.f('ck_festival_runs_runs_until_ended')),
    sa.CheckConstraint('given >= 0 AND refused >= 0', name=op.f('ck_festival_runs_counts_positive')),
    sa.ForeignKeyConstraint(['festival_id'], ['festivals.id'], name=op.f('fk_festival_runs_festival_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_festival_runs')),
    sa.UniqueConstraint('festival_id', 'year', name=op.f('uq_festival_runs_festival_id_year')),
    **_OPTIONS
    )
    op.create_index('ix_festival_runs_state', 'festival_runs', ['state', 'celebrated_on'], unique=False)
    op.create_index('ix_festival_runs_newest', 'festival_runs', ['started_at', 'id'], unique=False)
    op.create_table('festival_gifts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('run_id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('coupon_id', UuidType(), nullable=True),
    sa.Column('message_id', UuidType(), nullable=True),
    sa.Column('problem', sa.String(length=40), nullable=True),
    sa.Column('given_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('points >= 0', name=op.f('ck_festival_gifts_points_not_negative')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_festival_gifts_member_id')),
    sa.ForeignKeyConstraint(['run_id'], ['festival_runs.id'], name=op.f('fk_festival_gifts_run_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_festival_gifts')),
    sa.UniqueConstraint('member_id', 'run_id', name=op.f('uq_festival_gifts_member_id_run_id')),
    **_OPTIONS
    )
    op.create_index('ix_festival_gifts_run', 'festival_gifts', ['run_id', 'given_at', 'id'], unique=False)


def downgrade() -> None:
    op.drop_table('festival_gifts')
    op.drop_table('festival_runs')
    op.drop_table('festival_versions')
    op.drop_table('festivals')
    op.drop_index('ix_notification_grant_entries_when', table_name='notification_grant_entries')
    op.drop_index('ix_notification_messages_changed', table_name='notification_messages')
    op.drop_index('ix_notification_messages_state', table_name='notification_messages')
    op.drop_table('allowance_days')
    op.drop_table('message_reach')
    op.drop_table('message_hours')
    op.drop_table('roll_up_marks')
