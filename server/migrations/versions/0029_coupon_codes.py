"""Codes that members type for a coupon: batches, the codes' hashes, and wrong tries."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0029'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('coupon_code_batches',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=True),
    sa.Column('made', sa.BigInteger(), nullable=False),
    sa.Column('claimed', sa.BigInteger(), nullable=False),
    sa.Column('word', sa.String(length=32), nullable=True),
    sa.Column('per_member', sa.BigInteger(), nullable=True),
    sa.Column('claim_from', UtcDateTime(), nullable=True),
    sa.Column('claim_until', UtcDateTime(), nullable=True),
    sa.Column('note', sa.String(length=300), nullable=False),
    sa.Column('seed_sealed', sa.String(length=191), nullable=True),
    sa.Column('file_until', UtcDateTime(), nullable=True),
    sa.Column('downloads', sa.BigInteger(), nullable=False),
    sa.Column('transfer_id', UuidType(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.Column('stopped_at', UtcDateTime(), nullable=True),
    sa.Column('stopped_by', sa.String(length=120), nullable=True),
    sa.Column('stopped_why', sa.String(length=300), nullable=True),
    sa.CheckConstraint("(kind = 'shared') = (word IS NOT NULL)", name=op.f('ck_coupon_code_batches_shared_has_word')),
    sa.CheckConstraint("(state = 'stopped') = (stopped_at IS NOT NULL)", name=op.f('ck_coupon_code_batches_stopped_has_instant')),
    sa.CheckConstraint("kind = 'shared' OR (size IS NOT NULL AND made <= size)", name=op.f('ck_coupon_code_batches_made_within_size')),
    sa.CheckConstraint("kind IN ('unique','shared')", name=op.f('ck_coupon_code_batches_kind_known')),
    sa.CheckConstraint("state IN ('making','open','stopped')", name=op.f('ck_coupon_code_batches_state_known')),
    sa.CheckConstraint('claimed >= 0 AND (size IS NULL OR claimed <= size)', name=op.f('ck_coupon_code_batches_claimed_within_size')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupon_code_batches_template_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_code_batches')),
    sa.UniqueConstraint('word', name=op.f('uq_coupon_code_batches_word')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_code_batches_file', 'coupon_code_batches', ['file_until'], unique=False)
    op.create_index('ix_coupon_code_batches_newest', 'coupon_code_batches', ['created_at', 'id'], unique=False)
    op.create_index('ix_coupon_code_batches_template', 'coupon_code_batches', ['template_id', 'created_at'], unique=False)
    op.create_table('coupon_codes',
    sa.Column('code_hash', sa.String(length=72), nullable=False),
    sa.Column('batch_id', UuidType(), nullable=False),
    sa.Column('line', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['coupon_code_batches.id'], name=op.f('fk_coupon_codes_batch_id')),
    sa.PrimaryKeyConstraint('code_hash', name=op.f('pk_coupon_codes')),
    sa.UniqueConstraint('batch_id', 'line', name=op.f('uq_coupon_codes_batch_id_line')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('coupon_code_tries',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('business_day', sa.Date(), nullable=False),
    sa.Column('slot', sa.BigInteger(), nullable=False),
    sa.Column('tried_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('slot BETWEEN 1 AND 10', name=op.f('ck_coupon_code_tries_slot_within_day')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_coupon_code_tries_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_code_tries')),
    sa.UniqueConstraint('member_id', 'business_day', 'slot', name=op.f('uq_coupon_code_tries_member_id_business_day_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_code_tries_tried_at', 'coupon_code_tries', ['tried_at'], unique=False)
    op.create_table('coupon_issue_files',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('template_id', UuidType(), nullable=False),
    sa.Column('name', sa.String(length=191), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('members', sa.BigInteger(), nullable=False),
    sa.Column('done_line', sa.BigInteger(), nullable=False),
    sa.Column('issued', sa.BigInteger(), nullable=False),
    sa.Column('refused', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.Column('transfer_id', UuidType(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name=op.f('ck_coupon_issue_files_done_has_instant')),
    sa.CheckConstraint("state = 'staged' OR (reason IS NOT NULL AND transfer_id IS NOT NULL)", name=op.f('ck_coupon_issue_files_started_with_reason')),
    sa.CheckConstraint("state IN ('staged','running','done')", name=op.f('ck_coupon_issue_files_state_known')),
    sa.CheckConstraint('issued >= 0 AND issued <= members', name=op.f('ck_coupon_issue_files_issued_within_members')),
    sa.ForeignKeyConstraint(['template_id'], ['coupon_templates.id'], name=op.f('fk_coupon_issue_files_template_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_issue_files')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_issue_files_newest', 'coupon_issue_files', ['created_at', 'id'], unique=False)
    op.create_index('ix_coupon_issue_files_template', 'coupon_issue_files', ['template_id', 'created_at'], unique=False)
    op.create_table('coupon_issue_refusals',
    sa.Column('file_id', UuidType(), nullable=False),
    sa.Column('line', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('column_name', sa.String(length=40), nullable=False),
    sa.Column('reason', sa.String(length=40), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['coupon_issue_files.id'], name=op.f('fk_coupon_issue_refusals_file_id')),
    sa.PrimaryKeyConstraint('file_id', 'line', name=op.f('pk_coupon_issue_refusals')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('coupon_issue_rows',
    sa.Column('file_id', UuidType(), nullable=False),
    sa.Column('line', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.ForeignKeyConstraint(['file_id'], ['coupon_issue_files.id'], name=op.f('fk_coupon_issue_rows_file_id')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_coupon_issue_rows_member_id')),
    sa.PrimaryKeyConstraint('file_id', 'line', name=op.f('pk_coupon_issue_rows')),
    sa.UniqueConstraint('file_id', 'member_id', name=op.f('uq_coupon_issue_rows_file_id_member_id')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_issue_rows_member_id', 'coupon_issue_rows', ['member_id'], unique=False)
    op.create_table('coupon_recalls',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('file_id', UuidType(), nullable=False),
    sa.Column('begun_slot', UuidType(), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('reason', sa.String(length=300), nullable=False),
    sa.Column('done_line', sa.BigInteger(), nullable=False),
    sa.Column('voided', sa.BigInteger(), nullable=False),
    sa.Column('kept', sa.BigInteger(), nullable=False),
    sa.Column('approval_id', UuidType(), nullable=True),
    sa.Column('transfer_id', UuidType(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('created_by', sa.String(length=120), nullable=False),
    sa.Column('actor_kind', sa.String(length=16), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('finished_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'asked') = (begun_slot IS NULL)", name=op.f('ck_coupon_recalls_begun_has_slot')),
    sa.CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name=op.f('ck_coupon_recalls_done_has_instant')),
    sa.CheckConstraint("state = 'asked' OR (approval_id IS NOT NULL AND transfer_id IS NOT NULL)", name=op.f('ck_coupon_recalls_asked_first')),
    sa.CheckConstraint("state IN ('asked','running','done')", name=op.f('ck_coupon_recalls_state_known')),
    sa.CheckConstraint('begun_slot IS NULL OR begun_slot = file_id', name=op.f('ck_coupon_recalls_slot_is_file')),
    sa.ForeignKeyConstraint(['file_id'], ['coupon_issue_files.id'], name=op.f('fk_coupon_recalls_file_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_coupon_recalls')),
    sa.UniqueConstraint('begun_slot', name=op.f('uq_coupon_recalls_begun_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_coupon_recalls_file', 'coupon_recalls', ['file_id', 'created_at'], unique=False)
    guard_append_only(op, 'coupon_codes', 'coupon_issue_rows', 'coupon_issue_refusals')


def downgrade() -> None:
    op.drop_table('coupon_recalls')
    op.drop_table('coupon_issue_rows')
    op.drop_table('coupon_issue_refusals')
    op.drop_table('coupon_issue_files')
    op.drop_table('coupon_code_tries')
    op.drop_table('coupon_codes')
    op.drop_table('coupon_code_batches')
