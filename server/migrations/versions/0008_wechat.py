"""wechat."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('wechat_pushes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('key', sa.String(length=64), nullable=False),
    sa.Column('kind', sa.String(length=32), nullable=False),
    sa.Column('event', sa.String(length=64), nullable=False),
    sa.Column('content_sealed', sa.Text(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('received_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_wechat_pushes')),
    sa.UniqueConstraint('key', name=op.f('uq_wechat_pushes_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_wechat_pushes_event', 'wechat_pushes', ['event', 'occurred_at'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_wechat_pushes_event', table_name='wechat_pushes')
    op.drop_table('wechat_pushes')
