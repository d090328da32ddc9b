"""Orders: the promise a channel makes, and events that came before their order."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('orders', sa.Column('promised_at', UtcDateTime(), nullable=True))
    op.create_table('order_pending_events',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('channel', sa.String(length=32), nullable=False),
    sa.Column('external_no', sa.String(length=80), nullable=False),
    sa.Column('event_id', sa.String(length=100), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('content', JsonDocument(), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('received_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_pending_events')),
    sa.UniqueConstraint('channel', 'external_no', 'event_id', name=op.f('uq_order_pending_events_channel_external_no_event_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_order_pending_events_received', 'order_pending_events', ['received_at', 'id'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_order_pending_events_received', table_name='order_pending_events')
    op.drop_table('order_pending_events')
    with op.batch_alter_table('orders') as batch:
        batch.drop_column('promised_at')
