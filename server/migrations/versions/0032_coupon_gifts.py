"""Coupons that are offered and given to friends."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime, UuidType

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None

_KNOWN = "state IN ('issued','locked','redeemed','expired','voided','offered','given')"
_KNOWN_BEFORE = "state IN ('issued','locked','redeemed','expired','voided')"


def _states(known: str, before: str) -> None:
    """Let coupons be in other states."""
    bind = op.get_bind()
    if bind.dialect.name != 'sqlite':
        op.drop_constraint(op.f('ck_coupons_state_known'), 'coupons', type_='check')
        op.create_check_constraint(op.f('ck_coupons_state_known'), 'coupons', known)
        return
    # SQLite changes a CHECK only by its schema's own text; a copy of the table would be dropped under the rows that point at it.
    version = bind.exec_driver_sql('PRAGMA schema_version').scalar_one()
    bind.exec_driver_sql('PRAGMA writable_schema = ON')
    bind.exec_driver_sql("UPDATE sqlite_master SET sql = replace(sql, ?, ?) WHERE type = 'table' AND name = 'coupons'", (before, known))
    bind.exec_driver_sql(f'PRAGMA schema_version = {version + 1}')
    bind.exec_driver_sql('PRAGMA writable_schema = OFF')


def upgrade() -> None:
    _states(_KNOWN, _KNOWN_BEFORE)
    op.create_table('coupon_gifts',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('coupon_id', UuidType(), nullable=False),
    sa.Column('open_slot', UuidType(), nullable=True),
    sa.Column('token_hash', sa.String(length=72), nullable=False),
    sa.Column('from_member_id', UuidType(), nullable=False),
    sa.Column('to_member_id', UuidType(), nullable=True),
    sa.Column('received_coupon_id', UuidType(), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('ended_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'accepted') = (received_coupon_id IS NOT NULL)", name=op.f('ck_coupon_gifts_accepted_has_coupon')),
    sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f('ck_coupon_gifts_ended_has_instant')),
    sa.CheckConstraint("(state = 'open') = (open_slot IS NOT NULL)", name=op.f('ck_coupon_gifts_open_has_slot')),
    sa.CheckConstraint('open_slot IS NULL OR open_slot = coupon_id', name=op.f('ck_coupon_gifts_slot_is_coupon')),
    sa.CheckConstraint("state IN ('open','accepted','refused','withdrawn','lapsed')", name=op.f('ck_coupon_gifts_state_known')),
    sa.CheckConstraint("state NOT IN ('accepted','refused') OR to_member_id IS NOT NULL", name=op.f('ck_coupon_gifts_answered_by')),
    sa.ForeignKeyConstraint(['coupon_id'], ['coupons.id'], name=op.f('fk_coupon_gifts_coupon_id')),
    sa.ForeignKeyConstraint(['from_member_id'], ['members.id'], name=op.f('fk_coupon_gifts_from_member_id')),
    sa.ForeignKeyConstraint(['received_coupon_id'], ['coupons.id'], name=op.f('fk_coupon_gifts_received_coupon_id')),
    sa.ForeignKeyConstraint(['to_member_id'], ['members.id'], name=op.f('fk_coupon_gifts_to_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_gifts')),
    sa.UniqueConstraint('open_slot', name=op.f('uq_coupon_gifts_open_slot')),
    sa.UniqueConstraint('received_coupon_id', name=op.f('uq_coupon_gifts_received_coupon_id')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_coupon_gifts_token_hash')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_gifts_coupon', 'coupon_gifts', ['coupon_id', 'created_at'], unique=False)
    op.create_index('ix_coupon_gifts_ending', 'coupon_gifts', ['state', 'expires_at'], unique=False)
    op.create_index('ix_coupon_gifts_from', 'coupon_gifts', ['from_member_id', 'created_at', 'id'], unique=False)
    op.create_index('ix_coupon_gifts_to', 'coupon_gifts', ['to_member_id', 'created_at', 'id'], unique=False)


def downgrade() -> None:
    op.drop_table('coupon_gifts')
    _states(_KNOWN_BEFORE, _KNOWN)
