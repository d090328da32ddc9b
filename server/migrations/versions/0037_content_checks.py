"""Content checks and what WeChat answered about pictures."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import UtcDateTime, UuidType

revision = '0037'
down_revision = '0036'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('content_checks',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('subject', sa.String(length=20), nullable=False),
    sa.Column('subject_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=8), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('content', sa.Text(), nullable=True),
    sa.Column('upload_id', UuidType(), nullable=True),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('version', sa.BigInteger(), nullable=False),
    sa.Column('cause', sa.String(length=16), nullable=True),
    sa.Column('label', sa.BigInteger(), nullable=True),
    sa.Column('asks', sa.BigInteger(), nullable=False),
    sa.Column('tries', sa.BigInteger(), nullable=False),
    sa.Column('next_at', UtcDateTime(), nullable=True),
    sa.Column('open_slot', sa.String(length=64), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.Column('decided_at', UtcDateTime(), nullable=True),
    sa.Column('decided_by', sa.String(length=80), nullable=True),
    sa.Column('reason', sa.String(length=300), nullable=True),
    sa.CheckConstraint("(kind = 'image') = (upload_id IS NOT NULL)", name=op.f('ck_content_checks_image_has_upload')),
    sa.CheckConstraint("(state IN ('waiting','held')) = (decided_at IS NULL)", name=op.f('ck_content_checks_ended_has_instant')),
    sa.CheckConstraint("(state IN ('waiting','held')) = (open_slot IS NOT NULL)", name=op.f('ck_content_checks_open_has_slot')),
    sa.CheckConstraint("kind IN ('text','image')", name=op.f('ck_content_checks_kind_known')),
    sa.CheckConstraint("next_at IS NULL OR state = 'waiting'", name=op.f('ck_content_checks_only_waiting_is_due')),
    sa.CheckConstraint("state <> 'refused' OR reason IS NOT NULL", name=op.f('ck_content_checks_refused_has_reason')),
    sa.CheckConstraint("state IN ('waiting','held','blocked','passed','allowed','refused','dropped')", name=op.f('ck_content_checks_state_known')),
    sa.CheckConstraint("subject IN ('nickname','avatar','ticket_message','ticket_rating','ticket_image')", name=op.f('ck_content_checks_subject_known')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_content_checks_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_content_checks')),
    sa.UniqueConstraint('open_slot', name=op.f('uq_content_checks_open_slot')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_content_checks_due', 'content_checks', ['state', 'next_at'], unique=False)
    op.create_index('ix_content_checks_list', 'content_checks', ['state', 'created_at', 'id'], unique=False)
    op.create_index('ix_content_checks_member', 'content_checks', ['member_id'], unique=False)
    op.create_index('ix_content_checks_subject', 'content_checks', ['subject_id', 'subject'], unique=False)
    op.create_table('content_answers',
    sa.Column('trace_id', sa.String(length=80), nullable=False),
    sa.Column('check_id', UuidType(), nullable=True),
    sa.Column('asked_at', UtcDateTime(), nullable=True),
    sa.Column('suggestion', sa.String(length=16), nullable=True),
    sa.Column('label', sa.BigInteger(), nullable=True),
    sa.Column('answered_at', UtcDateTime(), nullable=True),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('(check_id IS NULL) = (asked_at IS NULL)', name=op.f('ck_content_answers_asked_has_check')),
    sa.CheckConstraint('(suggestion IS NULL) = (answered_at IS NULL)', name=op.f('ck_content_answers_answered_has_word')),
    sa.CheckConstraint('check_id IS NOT NULL OR suggestion IS NOT NULL', name=op.f('ck_content_answers_says_something')),
    sa.ForeignKeyConstraint(['check_id'], ['content_checks.id'], name=op.f('fk_content_answers_check_id'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('trace_id', name=op.f('pk_content_answers')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_content_answers_check_id'), 'content_answers', ['check_id'], unique=False)
    op.create_index(op.f('ix_content_answers_created_at'), 'content_answers', ['created_at'], unique=False)


def downgrade() -> None:
    op.drop_index(op.f('ix_content_answers_created_at'), table_name='content_answers')
    op.drop_index(op.f('ix_content_answers_check_id'), table_name='content_answers')
    op.drop_table('content_answers')
    op.drop_index('ix_content_checks_subject', table_name='content_checks')
    op.drop_index('ix_content_checks_member', table_name='content_checks')
    op.drop_index('ix_content_checks_list', table_name='content_checks')
    op.drop_index('ix_content_checks_due', table_name='content_checks')
    op.drop_table('content_checks')
