"""cards."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('card_codes',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('code_hash', sa.String(length=80), nullable=False),
    sa.Column('issued_at', UtcDateTime(), nullable=False),
    sa.Column('expires_at', UtcDateTime(), nullable=False),
    sa.Column('redeemed_at', UtcDateTime(), nullable=True),
    sa.Column('redeemed_by', sa.String(length=80), nullable=True),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_card_codes_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_card_codes')),
    sa.UniqueConstraint('code_hash', name=op.f('uq_card_codes_code_hash')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_card_codes_expires_at'), 'card_codes', ['expires_at'], unique=False)
    op.create_index(op.f('ix_card_codes_member_id'), 'card_codes', ['member_id'], unique=False)
    op.create_table('cards',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('active_slot', UuidType(), nullable=True),
    sa.Column('card_no', sa.String(length=32), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('issued_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("(kind = 'active') = (active_slot IS NOT NULL)", name=op.f('ck_cards_active_has_slot')),
    sa.CheckConstraint("kind IN ('active','merged','legacy')", name=op.f('ck_cards_kind_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_cards_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_cards')),
    sa.UniqueConstraint('active_slot', name=op.f('uq_cards_active_slot')),
    sa.UniqueConstraint('card_no', name=op.f('uq_cards_card_no')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_cards_member_id'), 'cards', ['member_id'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_cards_member_id'), table_name='cards')
    op.drop_table('cards')
    op.drop_index(op.f('ix_card_codes_member_id'), table_name='card_codes')
    op.drop_index(op.f('ix_card_codes_expires_at'), table_name='card_codes')
    op.drop_table('card_codes')
