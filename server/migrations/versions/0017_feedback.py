"""feedback."""

import sqlalchemy as sa
from alembic import op

from server.kernel.column_types import JsonDocument, UtcDateTime, UuidType
from server.migrations.runner import guard_append_only

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('canned_replies',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('title', sa.String(length=80), nullable=False),
    sa.Column('category', sa.String(length=16), nullable=True),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_canned_replies')),
    sa.UniqueConstraint('title', name=op.f('uq_canned_replies_title')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('feedback_settings',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_feedback_settings')),
    sa.UniqueConstraint('name', name=op.f('uq_feedback_settings_name')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('tickets',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('ticket_no', sa.String(length=24), nullable=False),
    sa.Column('member_id', UuidType(), nullable=False),
    sa.Column('channel', sa.String(length=16), nullable=False),
    sa.Column('category', sa.String(length=16), nullable=False),
    sa.Column('priority', sa.String(length=8), nullable=False),
    sa.Column('state', sa.String(length=16), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('round', sa.Integer(), nullable=False),
    sa.Column('order_no', sa.String(length=40), nullable=True),
    sa.Column('assignee_id', UuidType(), nullable=True),
    sa.Column('excerpt', sa.String(length=120), nullable=False),
    sa.Column('needs_review', sa.Boolean(), nullable=False),
    sa.Column('close_reason', sa.String(length=16), nullable=True),
    sa.Column('next_due_at', UtcDateTime(), nullable=True),
    sa.Column('opened_at', UtcDateTime(), nullable=False),
    sa.Column('updated_at', UtcDateTime(), nullable=False),
    sa.Column('answered_at', UtcDateTime(), nullable=True),
    sa.Column('closed_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name=op.f('ck_tickets_closed_has_instant')),
    sa.CheckConstraint("category IN ('product','service','logistics','payment','suggestion','praise','other')", name=op.f('ck_tickets_category_known')),
    sa.CheckConstraint("priority IN ('low','normal','high','urgent')", name=op.f('ck_tickets_priority_known')),
    sa.CheckConstraint("state IN ('open','assigned','working','answered','closed','reopened')", name=op.f('ck_tickets_state_known')),
    sa.CheckConstraint('version > 0 AND round > 0', name=op.f('ck_tickets_counts_positive')),
    sa.ForeignKeyConstraint(['member_id'], ['members.id'], name=op.f('fk_tickets_member_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tickets')),
    sa.UniqueConstraint('ticket_no', name=op.f('uq_tickets_ticket_no')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_tickets_assignee_state', 'tickets', ['assignee_id', 'state', 'updated_at'], unique=False)
    op.create_index('ix_tickets_due', 'tickets', ['next_due_at'], unique=False)
    op.create_index('ix_tickets_member_opened', 'tickets', ['member_id', 'opened_at', 'id'], unique=False)
    op.create_index('ix_tickets_opened', 'tickets', ['opened_at', 'id'], unique=False)
    op.create_index(op.f('ix_tickets_order_no'), 'tickets', ['order_no'], unique=False)
    op.create_index('ix_tickets_state_updated', 'tickets', ['state', 'updated_at', 'id'], unique=False)
    op.create_table('ticket_deadlines',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('ticket_id', UuidType(), nullable=False),
    sa.Column('kind', sa.String(length=16), nullable=False),
    sa.Column('round', sa.Integer(), nullable=False),
    sa.Column('state', sa.String(length=12), nullable=False),
    sa.Column('started_at', UtcDateTime(), nullable=False),
    sa.Column('due_at', UtcDateTime(), nullable=False),
    sa.Column('paused_at', UtcDateTime(), nullable=True),
    sa.Column('paused_seconds', sa.BigInteger(), nullable=False),
    sa.Column('done_at', UtcDateTime(), nullable=True),
    sa.CheckConstraint("(state = 'paused') = (paused_at IS NOT NULL)", name=op.f('ck_ticket_deadlines_paused_has_instant')),
    sa.CheckConstraint("kind IN ('first_response','resolution')", name=op.f('ck_ticket_deadlines_kind_known')),
    sa.CheckConstraint("state IN ('open','paused','met','breached','cancelled')", name=op.f('ck_ticket_deadlines_state_known')),
    sa.ForeignKeyConstraint(['ticket_id'], ['tickets.id'], name=op.f('fk_ticket_deadlines_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_deadlines')),
    sa.UniqueConstraint('ticket_id', 'kind', 'round', name=op.f('uq_ticket_deadlines_ticket_id_kind_round')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_ticket_deadlines_due', 'ticket_deadlines', ['state', 'due_at'], unique=False)
    op.create_table('ticket_messages',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('ticket_id', UuidType(), nullable=False),
    sa.Column('author_kind', sa.String(length=8), nullable=False),
    sa.Column('author_id', UuidType(), nullable=True),
    sa.Column('author_name', sa.String(length=120), nullable=True),
    sa.Column('internal', sa.Boolean(), nullable=False),
    sa.Column('content', sa.Text(), nullable=False),
    sa.Column('created_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint("author_kind IN ('member','staff','partner','system')", name=op.f('ck_ticket_messages_author_known')),
    sa.ForeignKeyConstraint(['ticket_id'], ['tickets.id'], name=op.f('fk_ticket_messages_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_messages')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index('ix_ticket_messages_ticket', 'ticket_messages', ['ticket_id', 'created_at', 'id'], unique=False)
    op.create_table('ticket_ratings',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('ticket_id', UuidType(), nullable=False),
    sa.Column('round', sa.Integer(), nullable=False),
    sa.Column('score', sa.SmallInteger(), nullable=False),
    sa.Column('comment', sa.String(length=500), nullable=True),
    sa.Column('rated_at', UtcDateTime(), nullable=False),
    sa.CheckConstraint('score BETWEEN 1 AND 5', name=op.f('ck_ticket_ratings_score_in_range')),
    sa.ForeignKeyConstraint(['ticket_id'], ['tickets.id'], name=op.f('fk_ticket_ratings_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_ratings')),
    sa.UniqueConstraint('ticket_id', 'round', name=op.f('uq_ticket_ratings_ticket_id_round')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_index(op.f('ix_ticket_ratings_rated_at'), 'ticket_ratings', ['rated_at'], unique=False)
    op.create_table('ticket_transitions',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('ticket_id', UuidType(), nullable=False),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('from_state', sa.String(length=16), nullable=True),
    sa.Column('to_state', sa.String(length=16), nullable=False),
    sa.Column('actor_kind', sa.String(length=8), nullable=False),
    sa.Column('actor_ref', sa.String(length=64), nullable=False),
    sa.Column('actor_name', sa.String(length=120), nullable=True),
    sa.Column('reason', sa.String(length=500), nullable=True),
    sa.Column('occurred_at', UtcDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['ticket_id'], ['tickets.id'], name=op.f('fk_ticket_transitions_ticket_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_transitions')),
    sa.UniqueConstraint('ticket_id', 'version', name=op.f('uq_ticket_transitions_ticket_id_version')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.create_table('ticket_attachments',
    sa.Column('id', UuidType(), nullable=False),
    sa.Column('message_id', UuidType(), nullable=False),
    sa.Column('upload_id', UuidType(), nullable=False),
    sa.Column('place', sa.SmallInteger(), nullable=False),
    sa.ForeignKeyConstraint(['message_id'], ['ticket_messages.id'], name=op.f('fk_ticket_attachments_message_id')),
    sa.ForeignKeyConstraint(['upload_id'], ['uploads.id'], name=op.f('fk_ticket_attachments_upload_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ticket_attachments')),
    sa.UniqueConstraint('message_id', 'place', name=op.f('uq_ticket_attachments_message_id_place')),
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    guard_append_only(op, 'ticket_transitions')


def downgrade() -> None:
    op.drop_table('ticket_attachments')
    op.drop_table('ticket_transitions')
    op.drop_index(op.f('ix_ticket_ratings_rated_at'), table_name='ticket_ratings')
    op.drop_table('ticket_ratings')
    op.drop_index('ix_ticket_messages_ticket', table_name='ticket_messages')
    op.drop_table('ticket_messages')
    op.drop_index('ix_ticket_deadlines_due', table_name='ticket_deadlines')
    op.drop_table('ticket_deadlines')
    op.drop_index('ix_tickets_state_updated', table_name='tickets')
    op.drop_index(op.f('ix_tickets_order_no'), table_name='tickets')
    op.drop_index('ix_tickets_opened', table_name='tickets')
    op.drop_index('ix_tickets_member_opened', table_name='tickets')
    op.drop_index('ix_tickets_due', table_name='tickets')
    op.drop_index('ix_tickets_assignee_state', table_name='tickets')
    op.drop_table('tickets')
    op.drop_table('feedback_settings')
    op.drop_table('canned_replies')
