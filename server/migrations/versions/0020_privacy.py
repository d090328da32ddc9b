"""Deletions of members; pushes are found by whom they are about, and forgotten in time."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime, UuidType

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('member_deletions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('open_slot', UuidType(), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('channel', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=500), nullable=True),
    sa.Column('status_before', sa.String(length=16), nullable=False),
    sa.Column('held_by', sa.String(length=16), nullable=True),
    sa.Column('requested_at', UtcDateTime(), nullable=False),
    sa.Column('due_at', UtcDateTime(), nullable=False),
    sa.Column('deadline_on', sa.Date(), nullable=False),
    sa.Column('attempt_at', UtcDateTime(), nullable=True),
    sa.Column('cancelled_at', UtcDateTime(), nullable=True),
    sa.Column('erased_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("state IN ('waiting','cancelled','erased','done')", name=op.f('ck_member_deletions_state_known')),
    sa.CheckConstraint("(state = 'waiting') = (open_slot IS NOT NULL)", name=op.f('ck_member_deletions_open_while_waiting')),
    sa.CheckConstraint("(state IN ('waiting','erased')) = (attempt_at IS NOT NULL)", name=op.f('ck_member_deletions_attempted_until_done')),
    sa.CheckConstraint("(state IN ('erased','done')) = (erased_at IS NOT NULL)", name=op.f('ck_member_deletions_erased_has_instant')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_member_deletions_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_member_deletions')),
    sa.UniqueConstraint('open_slot', name=op.f('uq_member_deletions_open_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_member_deletions_due', 'member_deletions', ['attempt_at', 'id'], unique=False)
    op.create_index('ix_member_deletions_newest', 'member_deletions', ['requested_at', 'id'], unique=False)
    op.create_index(op.f('ix_member_deletions_member_id'), 'member_deletions', ['member_id'], unique=False)
    op.add_column('wechat_pushes', sa.Column('openid_index', sa.String(length=80), nullable=True))
    op.create_index(op.f('ix_wechat_pushes_openid_index'), 'wechat_pushes', ['openid_index'], unique=False)
    op.create_index('ix_wechat_pushes_received', 'wechat_pushes', ['received_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_wechat_pushes_received', table_name='wechat_pushes')
    op.drop_index(op.f('ix_wechat_pushes_openid_index'), table_name='wechat_pushes')
    op.drop_column('wechat_pushes', 'openid_index')
    op.drop_index(op.f('ix_member_deletions_member_id'), table_name='member_deletions')
    op.drop_index('ix_member_deletions_newest', table_name='member_deletions')
    op.drop_index('ix_member_deletions_due', table_name='member_deletions')
    op.drop_table('member_deletions')
