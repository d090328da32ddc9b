"""orders."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0016'
down_revision = '0015'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('tracking_events',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('carrier', sa.String(length=40), nullable=False),
    sa.Column('tracking_no', sa.String(length=64), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=True),
    sa.Column('description', sa.String(length=500), nullable=False),
    sa.Column('received_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tracking_events')),
    sa.UniqueConstraint('carrier', 'tracking_no', 'digest', name=op.f('uq_tracking_events_carrier_tracking_no_digest')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_tracking_events_timeline', 'tracking_events', ['tracking_no', 'occurred_at'], unique=False)
    op.create_table('orders',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_no', sa.String(length=32), nullable=False),
    sa.Column('channel', sa.String(length=32), nullable=False),
    sa.Column('external_no', sa.String(length=80), nullable=False),
    sa.Column('fingerprint', sa.String(length=80), nullable=False),
    sa.Column('member_id', UuidType(), nullable=True),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('immediate', sa.Boolean(), nullable=False),
    sa.Column('store_code', sa.String(length=64), nullable=True),
    sa.Column('goods_fen', sa.BigInteger(), nullable=False),
    sa.Column('discount_fen', sa.BigInteger(), nullable=False),
    sa.Column('shipping_fen', sa.BigInteger(), nullable=False),
    sa.Column('points_paid_fen', sa.BigInteger(), nullable=False),
    sa.Column('payable_fen', sa.BigInteger(), nullable=False),
    sa.Column('refunded_fen', sa.BigInteger(), nullable=False),
    sa.Column('points_redeemed', sa.BigInteger(), nullable=False),
    sa.Column('points_worked_out', sa.Boolean(), nullable=False),
    sa.Column('points_entry_id', UuidType(), nullable=True),
    sa.Column('points_earned', sa.BigInteger(), nullable=False),
    sa.Column('points_taken_back', sa.BigInteger(), nullable=False),
    sa.Column('receiver_name', sa.String(length=500), nullable=True),
    sa.Column('receiver_phone', sa.String(length=255), nullable=True),
    sa.Column('receiver_address', sa.Text(), nullable=True),
    sa.Column('receiver_name_index', sa.String(length=80), nullable=True),
    sa.Column('receiver_phone_index', sa.String(length=80), nullable=True),
    sa.Column('placed_at', UtcDateTime(), nullable=False),
    sa.Column('paid_at', UtcDateTime(), nullable=True),
    sa.Column('shipped_at', UtcDateTime(), nullable=True),
    sa.Column('delivered_at', UtcDateTime(), nullable=True),
    sa.Column('completed_at', UtcDateTime(), nullable=True),
    sa.Column('cancelled_at', UtcDateTime(), nullable=True),
    sa.Column('taken_in_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("state IN ('placed','paid','shipped','delivered','completed','cancelled','refunded')", name=op.f('ck_orders_state_known')),
    sa.CheckConstraint('goods_fen >= 0 AND discount_fen >= 0 AND shipping_fen >= 0 AND points_paid_fen >= 0 AND payable_fen >= 0 AND refunded_fen >= 0', name=op.f('ck_orders_money_positive')),
    sa.CheckConstraint('points_taken_back >= 0 AND points_taken_back <= points_earned', name=op.f('ck_orders_points_within_earned')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_orders_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_orders')),
    sa.UniqueConstraint('channel', 'external_no', name=op.f('uq_orders_channel_external_no')),
    sa.UniqueConstraint('order_no', name=op.f('uq_orders_order_no')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_orders_delivered', 'orders', ['state', 'delivered_at'], unique=False)
    op.create_index('ix_orders_member', 'orders', ['member_id', 'placed_at', 'id'], unique=False)
    op.create_index('ix_orders_placed', 'orders', ['placed_at', 'id'], unique=False)
    op.create_index(op.f('ix_orders_receiver_name_index'), 'orders', ['receiver_name_index'], unique=False)
    op.create_index(op.f('ix_orders_receiver_phone_index'), 'orders', ['receiver_phone_index'], unique=False)
    op.create_index('ix_orders_state', 'orders', ['state', 'placed_at', 'id'], unique=False)
    op.create_table('order_coupons',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('coupon_id', UuidType(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.CheckConstraint("state IN ('named','redeemed','refused','returned')", name=op.f('ck_order_coupons_state_known')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_coupons_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_coupons')),
    sa.UniqueConstraint('order_id', 'coupon_id', name=op.f('uq_order_coupons_order_id_coupon_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('order_events',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('event_id', sa.String(length=100), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('received_at', UtcDateTime(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('detail', JsonDocument(), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.CheckConstraint("kind IN ('placed','paid','shipped','delivered','cancelled','refunded','received','completed')", name=op.f('ck_order_events_kind_known')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_events_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_events')),
    sa.UniqueConstraint('order_id', 'event_id', name=op.f('uq_order_events_order_id_event_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_order_events_timeline', 'order_events', ['order_id', 'occurred_at', 'id'], unique=False)
    op.create_table('order_exceptions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('rule', sa.String(length=40), nullable=False),
    sa.Column('key', sa.String(length=100), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('detail', JsonDocument(), nullable=False),
    sa.Column('opened_at', UtcDateTime(), nullable=False),
    sa.Column('closed_at', UtcDateTime(), nullable=True),
    sa.Column('closed_by', sa.String(length=120), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=True),
    sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name=op.f('ck_order_exceptions_closed_has_instant')),
    sa.CheckConstraint("state IN ('open','closed')", name=op.f('ck_order_exceptions_state_known')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_exceptions_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_exceptions')),
    sa.UniqueConstraint('order_id', 'rule', 'key', name=op.f('uq_order_exceptions_order_id_rule_key')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_order_exceptions_open', 'order_exceptions', ['state', 'opened_at', 'id'], unique=False)
    op.create_table('order_lines',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('line_no', sa.BigInteger(), nullable=False),
    sa.Column('sku', sa.String(length=64), nullable=False),
    sa.Column('name', sa.String(length=191), nullable=False),
    sa.Column('category', sa.String(length=120), nullable=True),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('unit_price_fen', sa.BigInteger(), nullable=True),
    sa.Column('discount_fen', sa.BigInteger(), nullable=False),
    sa.Column('amount_fen', sa.BigInteger(), nullable=False),
    sa.Column('paid_fen', sa.BigInteger(), nullable=False),
    sa.Column('points', sa.BigInteger(), nullable=False),
    sa.Column('refunded_fen', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('paid_fen >= 0 AND paid_fen <= amount_fen', name=op.f('ck_order_lines_paid_within_amount')),
    sa.CheckConstraint('quantity >= 0 AND amount_fen >= 0 AND discount_fen >= 0 AND points >= 0', name=op.f('ck_order_lines_amounts_positive')),
    sa.CheckConstraint('refunded_fen >= 0 AND refunded_fen <= paid_fen', name=op.f('ck_order_lines_refunded_within_paid')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_lines_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_lines')),
    sa.UniqueConstraint('order_id', 'line_no', name=op.f('uq_order_lines_order_id_line_no')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_order_lines_sku'), 'order_lines', ['sku'], unique=False)
    op.create_table('order_refunds',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('refund_id', sa.String(length=100), nullable=False),
    sa.Column('stated_fen', sa.BigInteger(), nullable=True),
    sa.Column('everything', sa.Boolean(), nullable=False),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.Column('fingerprint', sa.String(length=64), nullable=False),
    sa.Column('points_taken_back', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('stated_fen IS NULL OR stated_fen >= 0', name=op.f('ck_order_refunds_stated_positive')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_refunds_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_refunds')),
    sa.UniqueConstraint('order_id', 'refund_id', name=op.f('uq_order_refunds_order_id_refund_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('shipments',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('order_id', UuidType(), nullable=False),
    sa.Column('carrier', sa.String(length=40), nullable=False),
    sa.Column('tracking_no', sa.String(length=64), nullable=False),
    sa.Column('shipped_at', UtcDateTime(), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('promised_at', UtcDateTime(), nullable=True),
    sa.Column('delivered_at', UtcDateTime(), nullable=True),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_shipments_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_shipments')),
    sa.UniqueConstraint('order_id', 'carrier', 'tracking_no', name=op.f('uq_shipments_order_id_carrier_tracking_no')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_shipments_tracking_no', 'shipments', ['tracking_no'], unique=False)
    op.create_table('order_refund_parts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('refund_row_id', UuidType(), nullable=False),
    sa.Column('line_no', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('refund_fen', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('quantity >= 0 AND (refund_fen IS NULL OR refund_fen >= 0)', name=op.f('ck_order_refund_parts_amounts_positive')),
    sa.ForeignKeyConstraint(['refund_row_id'], ['order_refunds.id'], name=op.f('fk_order_refund_parts_refund_row_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_refund_parts')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_order_refund_parts_refund_row_id'), 'order_refund_parts', ['refund_row_id'], unique=False)
    guard_append_only(op, 'order_events', 'order_refund_parts')


def downgrade() -> None:
    op.drop_index(op.f('ix_order_refund_parts_refund_row_id'), table_name='order_refund_parts')
    op.drop_table('order_refund_parts')
    op.drop_index('ix_shipments_tracking_no', table_name='shipments')
    op.drop_table('shipments')
    op.drop_table('order_refunds')
    op.drop_index(op.f('ix_order_lines_sku'), table_name='order_lines')
    op.drop_table('order_lines')
    op.drop_index('ix_order_exceptions_open', table_name='order_exceptions')
    op.drop_table('order_exceptions')
    op.drop_index('ix_order_events_timeline', table_name='order_events')
    op.drop_table('order_events')
    op.drop_table('order_coupons')
    op.drop_index('ix_orders_state', table_name='orders')
    op.drop_index(op.f('ix_orders_receiver_phone_index'), table_name='orders')
    op.drop_index(op.f('ix_orders_receiver_name_index'), table_name='orders')
    op.drop_index('ix_orders_placed', table_name='orders')
    op.drop_index('ix_orders_member', table_name='orders')
    op.drop_index('ix_orders_delivered', table_name='orders')
    op.drop_table('orders')
    op.drop_index('ix_tracking_events_timeline', table_name='tracking_events')
    op.drop_table('tracking_events')
