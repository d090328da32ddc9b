"""The state machine, the guesses and the progress of tickets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.feedback.rules import (
    RATEABLE,
    SETTING_BOUNDS,
    TRANSITIONS,
    Category,
    DeadlineKind,
    Priority,
    State,
    Step,
    allowed_steps,
    due_at,
    excerpt_of,
    guess_category,
    guess_priority,
    next_state,
    progress_of,
    settings_from,
)
from tests.conftest import START


def test_every_state_can_be_reached_and_left() -> None:
    reached = {State.OPEN}
    while True:
        more = {target for step in Step for state in reached if (target := next_state(state, step)) is not None}
        if more <= reached:
            break
        reached |= more
    assert reached == set(State)
    assert all(allowed_steps(state) for state in State)


def test_a_closed_ticket_can_only_be_reopened() -> None:
    assert allowed_steps(State.CLOSED) == {Step.REOPEN}
    assert next_state(State.CLOSED, Step.REOPEN) is State.REOPENED
    assert next_state(State.OPEN, Step.REOPEN) is None


@given(st.lists(st.sampled_from(list(Step)), max_size=40))
def test_any_run_of_steps_stays_on_the_map_and_progress_follows_it(steps: list[Step]) -> None:
    state = State.OPEN
    moves = [(state, START)]
    for number, step in enumerate(steps, start=1):
        target = next_state(state, step)
        if target is None:
            assert step not in allowed_steps(state)
            continue
        assert target in TRANSITIONS[step].values()
        if target is not state:
            moves.append((target, START + timedelta(minutes=number)))
        state = target
    progress = progress_of(state, moves)
    assert [step.step for step in progress] == ["received", "assigned", "working", "answered", "closed"]
    done = [step.done for step in progress]
    assert done == sorted(done, reverse=True)
    assert done[0]
    assert done[-1] == (state is State.CLOSED)
    assert all(step.occurred_at is None for step in progress if not step.done)


def test_only_what_was_answered_or_closed_can_be_rated() -> None:
    assert set(RATEABLE) == {State.ANSWERED, State.CLOSED}


@pytest.mark.parametrize(
    ("text", "category", "priority"),
    [
        ("快递三天没有动静", Category.LOGISTICS, Priority.NORMAL),
        ("退款什么时候到账", Category.PAYMENT, Priority.NORMAL),
        ("建议增加夜间配货", Category.SUGGESTION, Priority.LOW),
        ("店员态度很差，我要投诉", Category.SERVICE, Priority.HIGH),
        ("充电器冒烟了，质量有问题", Category.PRODUCT, Priority.URGENT),
        ("非常满意，点赞", Category.PRAISE, Priority.LOW),
        ("你好", Category.OTHER, Priority.NORMAL),
    ],
)
def test_category_and_priority_are_guessed_from_words(text: str, category: Category, priority: Priority) -> None:
    assert guess_category(text) is category
    assert guess_priority(text, category) is priority


def test_an_excerpt_is_one_line_of_bounded_length() -> None:
    assert excerpt_of("一\n二  三") == "一 二 三"
    assert len(excerpt_of("长" * 500)) == 100


def test_settings_fall_back_to_defaults_within_their_bounds() -> None:
    settings = settings_from({"reopen_window_days": 3, "resolution_hours.urgent": 2})
    assert settings.reopen_window_days == 3
    assert settings.hours(DeadlineKind.RESOLUTION, Priority.URGENT) == timedelta(hours=2)
    assert settings.hours(DeadlineKind.FIRST_RESPONSE, Priority.LOW) == timedelta(hours=24)
    assert all(least <= default <= most for default, least, most in SETTING_BOUNDS.values())


def test_time_spent_waiting_for_the_member_moves_the_deadline() -> None:
    assert due_at(START, timedelta(hours=4), 1800) == START + timedelta(hours=4, minutes=30)
