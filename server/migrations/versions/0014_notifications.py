"""notifications."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('notification_receipts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('msg_id', sa.String(length=64), nullable=False),
    sa.Column('error_code', sa.String(length=16), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_receipts')),
    sa.UniqueConstraint('msg_id', name=op.f('uq_notification_receipts_msg_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('notification_templates',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('wechat_template_id', sa.String(length=64), nullable=False),
    sa.Column('field_keys', JsonDocument(), nullable=False),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_templates')),
    sa.UniqueConstraint('code', name=op.f('uq_notification_templates_code')),
    sa.UniqueConstraint('wechat_template_id', name=op.f('uq_notification_templates_wechat_template_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('notification_grant_entries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('key', sa.String(length=191), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('template', sa.String(length=40), nullable=False),
    sa.Column('kind', sa.String(length=12), nullable=False),
    sa.Column('available_change', sa.BigInteger(), nullable=False),
    sa.Column('reserved_change', sa.BigInteger(), nullable=False),
    sa.Column('message_id', UuidType(), nullable=True),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("kind IN ('credit','reserve','spend','release','empty','merge')", name=op.f('ck_notification_grant_entries_kind_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_notification_grant_entries_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_grant_entries')),
    sa.UniqueConstraint('key', name=op.f('uq_notification_grant_entries_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_notification_grant_entries_member', 'notification_grant_entries', ['member_id', 'template', 'occurred_at'], unique=False)
    op.create_table('notification_grants',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('template', sa.String(length=40), nullable=False),
    sa.Column('available', sa.BigInteger(), nullable=False),
    sa.Column('reserved', sa.BigInteger(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('available >= 0', name=op.f('ck_notification_grants_available_positive')),
    sa.CheckConstraint('reserved >= 0', name=op.f('ck_notification_grants_reserved_positive')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_notification_grants_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_grants')),
    sa.UniqueConstraint('member_id', 'template', name=op.f('uq_notification_grants_member_id_template')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_notification_grants_reach', 'notification_grants', ['template', 'available'], unique=False)
    op.create_table('notification_messages',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('key', sa.String(length=191), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('template', sa.String(length=40), nullable=False),
    sa.Column('topic', sa.String(length=16), nullable=False),
    sa.Column('texts', JsonDocument(), nullable=False),
    sa.Column('in_inbox', sa.Boolean(), nullable=False),
    sa.Column('read_at', UtcDateTime(), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=True),
    sa.Column('attempts', sa.BigInteger(), nullable=False),
    sa.Column('available_at', UtcDateTime(), nullable=False),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('sent_at', UtcDateTime(), nullable=True),
    sa.Column('delivered_at', UtcDateTime(), nullable=True),
    sa.Column('msg_id', sa.String(length=64), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name=op.f('ck_notification_messages_sending_has_lease')),
    sa.CheckConstraint("state IN ('queued','sending','sent','delivered','failed','uncertain','skipped')", name=op.f('ck_notification_messages_state_known')),
    sa.CheckConstraint('attempts >= 0', name=op.f('ck_notification_messages_attempts_positive')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_notification_messages_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_messages')),
    sa.UniqueConstraint('key', name=op.f('uq_notification_messages_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_notification_messages_due', 'notification_messages', ['state', 'available_at'], unique=False)
    op.create_index('ix_notification_messages_inbox', 'notification_messages', ['member_id', 'in_inbox', 'created_at', 'id'], unique=False)
    op.create_index(op.f('ix_notification_messages_msg_id'), 'notification_messages', ['msg_id'], unique=False)
    op.create_index('ix_notification_messages_newest', 'notification_messages', ['created_at', 'id'], unique=False)
    op.create_table('notification_preferences',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('topic', sa.String(length=16), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('allowed', sa.Boolean(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_notification_preferences_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_preferences')),
    sa.UniqueConstraint('member_id', 'topic', 'channel', name=op.f('uq_notification_preferences_member_id_topic_channel')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('notification_quiet_hours',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('from_minute', sa.SmallInteger(), nullable=False),
    sa.Column('until_minute', sa.SmallInteger(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('from_minute BETWEEN 0 AND 1439 AND until_minute BETWEEN 0 AND 1439', name=op.f('ck_notification_quiet_hours_minutes_of_day')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_notification_quiet_hours_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_quiet_hours')),
    sa.UniqueConstraint('member_id', name=op.f('uq_notification_quiet_hours_member_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    guard_append_only(op, 'notification_grant_entries')


def downgrade() -> None:
    op.drop_table('notification_quiet_hours')
    op.drop_table('notification_preferences')
    op.drop_index('ix_notification_messages_newest', table_name='notification_messages')
    op.drop_index(op.f('ix_notification_messages_msg_id'), table_name='notification_messages')
    op.drop_index('ix_notification_messages_inbox', table_name='notification_messages')
    op.drop_index('ix_notification_messages_due', table_name='notification_messages')
    op.drop_table('notification_messages')
    op.drop_index('ix_notification_grants_reach', table_name='notification_grants')
    op.drop_table('notification_grants')
    op.drop_index('ix_notification_grant_entries_member', table_name='notification_grant_entries')
    op.drop_table('notification_grant_entries')
    op.drop_table('notification_templates')
    op.drop_table('notification_receipts')
