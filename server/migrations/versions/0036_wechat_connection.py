"""Session keys, failures of calls, what members withdrew from WeChat, and the account's templates."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0036'
down_revision = '0035'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('wechat_session_keys',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('openid_index', sa.String(length=80), nullable=False),
    sa.Column('key_sealed', sa.String(length=400), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wechat_session_keys')),
    sa.UniqueConstraint('openid_index', name=op.f('uq_wechat_session_keys_openid_index')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_wechat_session_keys_expires_at', 'wechat_session_keys', ['expires_at'], unique=False)
    op.create_table('wechat_failures',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('appid', sa.String(length=64), nullable=False),
    sa.Column('endpoint', sa.String(length=80), nullable=False),
    sa.Column('code', sa.String(length=32), nullable=False),
    sa.Column('rid', sa.String(length=64), nullable=True),
    sa.Column('occurrences', sa.BigInteger(), nullable=False),
    sa.Column('first_at', UtcDateTime(), nullable=False),
    sa.Column('last_at', UtcDateTime(), nullable=False),
    sa.Column('paused_until', UtcDateTime(), nullable=True),
    sa.Column('pauses', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('(paused_until IS NULL) = (pauses = 0)', name=op.f('ck_wechat_failures_pause_whole')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wechat_failures')),
    sa.UniqueConstraint('appid', 'endpoint', 'code', name=op.f('uq_wechat_failures_appid_endpoint_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_wechat_failures_last_at', 'wechat_failures', ['last_at'], unique=False)
    op.create_table('member_withdrawals',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('push_key', sa.String(length=64), nullable=False),
    sa.Column('event', sa.String(length=64), nullable=False),
    sa.Column('codes', JsonDocument(), nullable=False),
    sa.Column('duties', JsonDocument(), nullable=False),
    sa.Column('held', JsonDocument(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('taken_at', UtcDateTime(), nullable=False),
    sa.Column('attempt_at', UtcDateTime(), nullable=True),
    sa.Column('done_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('(attempt_at IS NULL) = (done_at IS NOT NULL)', name=op.f('ck_member_withdrawals_attempted_until_done')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_withdrawals_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_withdrawals')),
    sa.UniqueConstraint('push_key', name=op.f('uq_member_withdrawals_push_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_member_withdrawals_due', 'member_withdrawals', ['attempt_at', 'id'], unique=False)
    op.create_index('ix_member_withdrawals_member', 'member_withdrawals', ['member_id', 'occurred_at'], unique=False)
    op.create_table('notification_account_templates',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('template_id', sa.String(length=64), nullable=False),
    sa.Column('title', sa.String(length=64), nullable=False),
    sa.Column('fields', JsonDocument(), nullable=False),
    sa.Column('one_time', sa.Boolean(), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_account_templates')),
    sa.UniqueConstraint('template_id', name=op.f('uq_notification_account_templates_template_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )


def downgrade() -> None:
    op.drop_table('notification_account_templates')
    op.drop_table('member_withdrawals')
    op.drop_table('wechat_failures')
    op.drop_table('wechat_session_keys')
