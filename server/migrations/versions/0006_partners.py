"""partners."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('partner_nonces',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('key_id', sa.String(length=32), nullable=False),
    sa.Column('nonce', sa.String(length=64), nullable=False),
    sa.Column('seen_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_partner_nonces')),
    sa.UniqueConstraint('key_id', 'nonce', name=op.f('uq_partner_nonces_key_id_nonce')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_partner_nonces_seen_at'), 'partner_nonces', ['seen_at'], unique=False)
    op.create_table('partners',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('scopes', JsonDocument(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_partners')),
    sa.UniqueConstraint('name', name=op.f('uq_partners_name')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('partner_keys',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('partner_id', UuidType(), nullable=False),
    sa.Column('key_id', sa.String(length=32), nullable=False),
    sa.Column('secret_sealed', sa.String(length=400), nullable=False),
    sa.Column('slot', sa.SmallInteger(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('revoked_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint('(slot IS NULL) = (revoked_at IS NOT NULL)', name=op.f('ck_partner_keys_live_has_slot')),
    sa.CheckConstraint('slot IS NULL OR slot IN (1, 2)', name=op.f('ck_partner_keys_slot_known')),
    sa.ForeignKeyConstraint(['partner_id'], ['partners.id'], name=op.f('fk_partner_keys_partner_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_partner_keys')),
    sa.UniqueConstraint('key_id', name=op.f('uq_partner_keys_key_id')),
    sa.UniqueConstraint('partner_id', 'slot', name=op.f('uq_partner_keys_partner_id_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )


def downgrade() -> None:
    op.drop_table('partner_keys')
    op.drop_table('partners')
    op.drop_index(op.f('ix_partner_nonces_seen_at'), table_name='partner_nonces')
    op.drop_table('partner_nonces')
