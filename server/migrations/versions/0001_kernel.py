"""outbox and idempotency."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('idempotency_records',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('caller', sa.String(length=80), nullable=False),
    sa.Column('route', sa.String(length=120), nullable=False),
    sa.Column('key', sa.String(length=128), nullable=False),
    sa.Column('request_hash', sa.String(length=64), nullable=False),
    sa.Column('status', sa.Integer(), nullable=False),
    sa.Column('body', sa.LargeBinary().with_variant(mysql.MEDIUMBLOB(), 'mariadb').with_variant(mysql.MEDIUMBLOB(), 'mysql'), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_idempotency_records')),
    sa.UniqueConstraint('caller', 'route', 'key', name=op.f('uq_idempotency_records_caller_route_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_idempotency_records_created_at'), 'idempotency_records', ['created_at'], unique=False)
    op.create_table('outbox_events',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('key', sa.String(length=191), nullable=False),
    sa.Column('topic', sa.String(length=64), nullable=False),
    sa.Column('aggregate_type', sa.String(length=32), nullable=False),
    sa.Column('aggregate_id', UuidType(), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('payload', JsonDocument(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('expanded_at', UtcDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox_events')),
    sa.UniqueConstraint('key', name=op.f('uq_outbox_events_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_outbox_events_waiting', 'outbox_events', ['expanded_at', 'occurred_at'], unique=False)
    op.create_table('outbox_deliveries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('event_id', UuidType(), nullable=False),
    sa.Column('subscription', sa.String(length=96), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('attempts', sa.BigInteger(), nullable=False),
    sa.Column('available_at', UtcDateTime(), nullable=False),
    sa.Column('lease_until', UtcDateTime(), nullable=True),
    sa.Column('done_at', UtcDateTime(), nullable=True),
    sa.Column('error', sa.String(length=500), nullable=True),
    sa.CheckConstraint("state IN ('pending','dispatched','sending','done','uncertain','dead')", name=op.f('ck_outbox_deliveries_state_known')),
    sa.ForeignKeyConstraint(['event_id'], ['outbox_events.id'], name=op.f('fk_outbox_deliveries_event_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outbox_deliveries')),
    sa.UniqueConstraint('event_id', 'subscription', name=op.f('uq_outbox_deliveries_event_id_subscription')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_outbox_deliveries_due', 'outbox_deliveries', ['state', 'available_at'], unique=False)
    op.create_index('ix_outbox_deliveries_lease', 'outbox_deliveries', ['state', 'lease_until'], unique=False)


def downgrade() -> None:
    op.drop_index('ix_outbox_deliveries_lease', table_name='outbox_deliveries')
    op.drop_index('ix_outbox_deliveries_due', table_name='outbox_deliveries')
    op.drop_table('outbox_deliveries')
    op.drop_index('ix_outbox_events_waiting', table_name='outbox_events')
    op.drop_table('outbox_events')
    op.drop_index(op.f('ix_idempotency_records_created_at'), table_name='idempotency_records')
    op.drop_table('idempotency_records')
