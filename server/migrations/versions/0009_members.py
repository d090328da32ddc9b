"""members."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('members',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('status', sa.String(length=16), nullable=False),
    sa.Column('status_reason', sa.String(length=500), nullable=True),
    sa.Column('merged_into', UuidType(), nullable=True),
    sa.Column('nickname', sa.String(length=64), nullable=True),
    sa.Column('gender', sa.String(length=8), nullable=False),
    sa.Column('city', sa.String(length=64), nullable=True),
    sa.Column('interests', JsonDocument(), nullable=False),
    sa.Column('avatar_upload_id', UuidType(), nullable=True),
    sa.Column('birthday_calendar', sa.String(length=8), nullable=True),
    sa.Column('birthday_month', sa.SmallInteger(), nullable=True),
    sa.Column('birthday_day', sa.SmallInteger(), nullable=True),
    sa.Column('birthday_year', sa.SmallInteger(), nullable=True),
    sa.Column('phone_sealed', sa.String(length=255), nullable=True),
    sa.Column('phone_index', sa.String(length=80), nullable=True),
    sa.Column('phone_tail_index', sa.String(length=80), nullable=True),
    sa.Column('phone_bound_at', UtcDateTime(), nullable=True),
    sa.Column('invite_code', sa.String(length=40), nullable=True),
    sa.Column('joined_via', sa.String(length=24), nullable=False),
    sa.Column('joined_at', UtcDateTime(), nullable=False),
    sa.Column('profile_completed_at', UtcDateTime(), nullable=True),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(birthday_calendar IS NULL AND birthday_month IS NULL AND birthday_day IS NULL) OR (birthday_calendar IN ('solar','lunar') AND birthday_month BETWEEN 1 AND 12 AND birthday_day BETWEEN 1 AND 31)", name=op.f('ck_members_birthday_whole')),
    sa.CheckConstraint("(status = 'merged') = (merged_into IS NOT NULL)", name=op.f('ck_members_merged_names_survivor')),
    sa.CheckConstraint("gender IN ('unknown','male','female')", name=op.f('ck_members_gender_known')),
    sa.CheckConstraint("status IN ('active','frozen','deleting','deleted','merged')", name=op.f('ck_members_status_known')),
    sa.CheckConstraint('(phone_sealed IS NULL) = (phone_index IS NULL)', name=op.f('ck_members_phone_whole')),
    sa.ForeignKeyConstraint(['merged_into'], ['members.id'], name=op.f('fk_members_merged_into')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_members')),
    sa.UniqueConstraint('phone_index', name=op.f('uq_members_phone_index')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_members_birthday', 'members', ['birthday_calendar', 'birthday_month', 'birthday_day', 'id'], unique=False)
    op.create_index('ix_members_joined', 'members', ['joined_at', 'id'], unique=False)
    op.create_index(op.f('ix_members_nickname'), 'members', ['nickname'], unique=False)
    op.create_index(op.f('ix_members_phone_tail_index'), 'members', ['phone_tail_index'], unique=False)
    op.create_table('member_change_requests',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('before', JsonDocument(), nullable=False),
    sa.Column('after', JsonDocument(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('open_slot', sa.String(length=64), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=True),
    sa.Column('decided_by', sa.String(length=64), nullable=True),
    sa.Column('decided_at', UtcDateTime(), nullable=True),
    sa.Column('requested_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(state = 'pending') = (open_slot IS NOT NULL)", name=op.f('ck_member_change_requests_open_while_pending')),
    sa.CheckConstraint("state IN ('pending','approved','refused')", name=op.f('ck_member_change_requests_state_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_change_requests_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_change_requests')),
    sa.UniqueConstraint('open_slot', name=op.f('uq_member_change_requests_open_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_member_change_requests_member_id'), 'member_change_requests', ['member_id'], unique=False)
    op.create_index('ix_member_change_requests_state', 'member_change_requests', ['state', 'requested_at'], unique=False)
    op.create_table('member_consents',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('purpose', sa.String(length=32), nullable=False),
    sa.Column('policy_version', sa.String(length=32), nullable=False),
    sa.Column('granted', sa.Boolean(), nullable=False),
    sa.Column('source', sa.String(length=24), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_consents_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_consents')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_member_consents_member', 'member_consents', ['member_id', 'purpose', 'occurred_at', 'id'], unique=False)
    op.create_table('member_identities',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('channel', sa.String(length=48), nullable=False),
    sa.Column('external_index', sa.String(length=80), nullable=False),
    sa.Column('external_sealed', sa.String(length=400), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_identities_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_identities')),
    sa.UniqueConstraint('external_index', 'channel', name=op.f('uq_member_identities_external_index_channel')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_member_identities_member', 'member_identities', ['member_id', 'channel'], unique=False)
    op.create_table('member_merges',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('from_id', UuidType(), nullable=False),
    sa.Column('into_id', UuidType(), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=False),
    sa.Column('carried', JsonDocument(), nullable=False),
    sa.Column('merged_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['from_id'], ['members.id'], name=op.f('fk_member_merges_from_id')),
    sa.ForeignKeyConstraint(['into_id'], ['members.id'], name=op.f('fk_member_merges_into_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_merges')),
    sa.UniqueConstraint('from_id', name=op.f('uq_member_merges_from_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_member_merges_into_id'), 'member_merges', ['into_id'], unique=False)
    op.create_index('ix_member_merges_newest', 'member_merges', ['merged_at', 'id'], unique=False)
    op.create_table('member_sessions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('access_hash', sa.String(length=64), nullable=False),
    sa.Column('access_expires_at', UtcDateTime(), nullable=False),
    sa.Column('refresh_hash', sa.String(length=64), nullable=False),
    sa.Column('refresh_expires_at', UtcDateTime(), nullable=False),
    sa.Column('client', sa.String(length=160), nullable=True),
    sa.Column('network', sa.String(length=64), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('last_seen_at', UtcDateTime(), nullable=False),
    sa.Column('revoked_at', UtcDateTime(), nullable=True),
    sa.Column('revoked_because', sa.String(length=24), nullable=True),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_sessions_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_sessions')),
    sa.UniqueConstraint('access_hash', name=op.f('uq_member_sessions_access_hash')),
    sa.UniqueConstraint('refresh_hash', name=op.f('uq_member_sessions_refresh_hash')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_member_sessions_member', 'member_sessions', ['member_id', 'revoked_at'], unique=False)
    op.create_table('member_used_refresh_tokens',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('session_id', UuidType(), nullable=False),
    sa.Column('token_hash', sa.String(length=64), nullable=False),
    sa.Column('used_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['session_id'], ['member_sessions.id'], name=op.f('fk_member_used_refresh_tokens_session_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_used_refresh_tokens')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_member_used_refresh_tokens_token_hash')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_member_used_refresh_tokens_used_at'), 'member_used_refresh_tokens', ['used_at'], unique=False)
    guard_append_only(op, 'member_consents', 'member_merges')


def downgrade() -> None:
    op.drop_index(op.f('ix_member_used_refresh_tokens_used_at'), table_name='member_used_refresh_tokens')
    op.drop_table('member_used_refresh_tokens')
    op.drop_index('ix_member_sessions_member', table_name='member_sessions')
    op.drop_table('member_sessions')
    op.drop_index('ix_member_merges_newest', table_name='member_merges')
    op.drop_index(op.f('ix_member_merges_into_id'), table_name='member_merges')
    op.drop_table('member_merges')
    op.drop_index('ix_member_identities_member', table_name='member_identities')
    op.drop_table('member_identities')
    op.drop_index('ix_member_consents_member', table_name='member_consents')
    op.drop_table('member_consents')
    op.drop_index('ix_member_change_requests_state', table_name='member_change_requests')
    op.drop_index(op.f('ix_member_change_requests_member_id'), table_name='member_change_requests')
    op.drop_table('member_change_requests')
    op.drop_index(op.f('ix_members_phone_tail_index'), table_name='members')
    op.drop_index(op.f('ix_members_nickname'), table_name='members')
    op.drop_index('ix_members_joined', table_name='members')
    op.drop_index('ix_members_birthday', table_name='members')
    op.drop_table('members')
