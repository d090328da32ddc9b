"""Messages over several channels: their order, their templates at the providers, every attempt; followers; e-mail addresses."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0039'
down_revision = '0038'
branch_labels = None
depends_on = None

_CHECKS = {
    'ck_notification_messages_channel_known': "channel IN ('subscribe','official_account','sms','email')",
    'ck_notification_messages_tries_within_attempts': 'tries >= 0 AND tries <= attempts',
}


def upgrade() -> None:
    op.create_table('notification_attempts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('message_id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('channel', sa.String(length=20), nullable=False),
    sa.Column('provider', sa.String(length=20), nullable=False),
    sa.Column('attempt', sa.BigInteger(), nullable=False),
    sa.Column('outcome', sa.String(length=16), nullable=False),
    sa.Column('reason', sa.String(length=64), nullable=True),
    sa.Column('segments', sa.BigInteger(), nullable=True),
    sa.Column('milliseconds', sa.BigInteger(), nullable=True),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("outcome IN ('sent','refused','not_done','misconfigured','unknown','skipped','delivered','undelivered','decided')", name=op.f('ck_notification_attempts_outcome_known')),
    sa.CheckConstraint('milliseconds IS NULL OR milliseconds >= 0', name=op.f('ck_notification_attempts_milliseconds_positive')),
    sa.CheckConstraint('segments IS NULL OR segments >= 1', name=op.f('ck_notification_attempts_segments_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_attempts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_notification_attempts_member', 'notification_attempts', ['member_id', 'occurred_at', 'id'], unique=False)
    op.create_index('ix_notification_attempts_message', 'notification_attempts', ['message_id', 'occurred_at', 'id'], unique=False)
    op.create_index('ix_notification_attempts_provider', 'notification_attempts', ['provider', 'occurred_at'], unique=False)
    op.create_table('notification_carriers',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('provider', sa.String(length=20), nullable=False),
    sa.Column('template_id', sa.String(length=64), nullable=False),
    sa.Column('fields', JsonDocument(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("provider IN ('official_account','aliyun','tencent','local')", name=op.f('ck_notification_carriers_provider_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_carriers')),
    sa.UniqueConstraint('code', 'provider', name=op.f('uq_notification_carriers_code_provider')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('notification_routes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('code', sa.String(length=40), nullable=False),
    sa.Column('channels', sa.String(length=120), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_notification_routes')),
    sa.UniqueConstraint('code', name=op.f('uq_notification_routes_code')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('official_account_followers',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('appid', sa.String(length=32), nullable=False),
    sa.Column('openid_index', sa.String(length=80), nullable=False),
    sa.Column('openid_sealed', sa.String(length=400), nullable=False),
    sa.Column('unionid_index', sa.String(length=80), nullable=True),
    sa.Column('following', sa.Boolean(), nullable=False),
    sa.Column('changed_at', UtcDateTime(), nullable=False),
    sa.Column('asked_at', UtcDateTime(), nullable=True),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_official_account_followers')),
    sa.UniqueConstraint('appid', 'openid_index', name=op.f('uq_official_account_followers_appid_openid_index')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_official_account_followers_unasked', 'official_account_followers', ['appid', 'following', 'asked_at', 'id'], unique=False)
    op.create_index(op.f('ix_official_account_followers_unionid_index'), 'official_account_followers', ['unionid_index'], unique=False)
    op.create_table('official_account_walks',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('appid', sa.String(length=32), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('next_sealed', sa.String(length=400), nullable=True),
    sa.Column('seen', sa.BigInteger(), nullable=False),
    sa.Column('moved_at', UtcDateTime(), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('seen >= 0', name=op.f('ck_official_account_walks_seen_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_official_account_walks')),
    sa.UniqueConstraint('appid', name=op.f('uq_official_account_walks_appid')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('member_email_codes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('address_sealed', sa.String(length=500), nullable=False),
    sa.Column('code_sealed', sa.String(length=255), nullable=True),
    sa.Column('code_hash', sa.String(length=80), nullable=False),
    sa.Column('serial', sa.BigInteger(), nullable=False),
    sa.Column('wrong', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('sent_in_window', sa.BigInteger(), nullable=False),
    sa.Column('window_until', UtcDateTime(), nullable=False),
    sa.CheckConstraint('sent_in_window >= 0', name=op.f('ck_member_email_codes_sent_positive')),
    sa.CheckConstraint('wrong >= 0', name=op.f('ck_member_email_codes_wrong_positive')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_email_codes_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_email_codes')),
    sa.UniqueConstraint('member_id', name=op.f('uq_member_email_codes_member_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('member_emails',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('address_sealed', sa.String(length=500), nullable=False),
    sa.Column('address_index', sa.String(length=80), nullable=False),
    sa.Column('verified_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_emails_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_emails')),
    sa.UniqueConstraint('member_id', name=op.f('uq_member_emails_member_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_member_emails_address_index'), 'member_emails', ['address_index'], unique=False)
    guard_append_only(op, 'notification_attempts')
    _add_message_columns()


def _add_message_columns() -> None:
    # The defaults stay: hosts that still run what was before write rows without these columns.
    known = _CHECKS['ck_notification_messages_channel_known']
    within = _CHECKS['ck_notification_messages_tries_within_attempts']
    op.add_column('notification_messages', sa.Column('tried', sa.String(length=120), nullable=False, server_default=''))
    op.add_column('notification_messages', sa.Column('provider', sa.String(length=20), nullable=True))
    op.add_column('notification_messages', sa.Column('segments', sa.BigInteger(), nullable=True))
    if op.get_bind().dialect.name == 'sqlite':
        # SQLite takes a named CHECK with a new column, and with nothing else.
        op.execute(
            "ALTER TABLE notification_messages ADD COLUMN channel VARCHAR(20) NOT NULL DEFAULT 'subscribe' "
            f'CONSTRAINT ck_notification_messages_channel_known CHECK ({known})'
        )
        op.execute(
            'ALTER TABLE notification_messages ADD COLUMN tries BIGINT NOT NULL DEFAULT 0 '
            f'CONSTRAINT ck_notification_messages_tries_within_attempts CHECK ({within})'
        )
        return
    op.add_column('notification_messages', sa.Column('channel', sa.String(length=20), nullable=False, server_default='subscribe'))
    op.add_column('notification_messages', sa.Column('tries', sa.BigInteger(), nullable=False, server_default='0'))
    for name, condition in _CHECKS.items():
        op.create_check_constraint(op.f(name), 'notification_messages', condition)


def downgrade() -> None:
    if op.get_bind().dialect.name != 'sqlite':
        for name in _CHECKS:
            op.drop_constraint(op.f(name), 'notification_messages', type_='check')
    with op.batch_alter_table('notification_messages') as batch:
        for name in ('tries', 'channel', 'segments', 'provider', 'tried'):
            batch.drop_column(name)
    op.drop_index(op.f('ix_member_emails_address_index'), table_name='member_emails')
    op.drop_table('member_emails')
    op.drop_table('member_email_codes')
    op.drop_table('official_account_walks')
    op.drop_index(op.f('ix_official_account_followers_unionid_index'), table_name='official_account_followers')
    op.drop_index('ix_official_account_followers_unasked', table_name='official_account_followers')
    op.drop_table('official_account_followers')
    op.drop_table('notification_routes')
    op.drop_table('notification_carriers')
    op.drop_index('ix_notification_attempts_provider', table_name='notification_attempts')
    op.drop_index('ix_notification_attempts_message', table_name='notification_attempts')
    op.drop_index('ix_notification_attempts_member', table_name='notification_attempts')
    op.drop_table('notification_attempts')
