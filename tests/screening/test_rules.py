"""When WeChat is asked again, and what its words lead to."""

from __future__ import annotations

from datetime import timedelta

import pytest

from server.screening.rules import (
    ANSWER_WITHIN,
    ASK_AGAIN_AFTER,
    DECIDABLE,
    HIDDEN,
    OPEN,
    Cause,
    Screened,
    State,
    after_answer,
    after_asking,
    after_failure,
    first_course,
)
from tests.conftest import START


def test_a_wechat_that_is_away_is_asked_again_three_times_within_two_hours_and_then_a_person() -> None:
    first = first_course(Screened(passed=False, cause=Cause.UNREACHABLE), START)
    assert (first.state, first.next_at) == (State.WAITING, START + timedelta(minutes=5))
    courses = [after_failure(tries, START) for tries in range(1, 5)]
    assert [course.state for course in courses] == [State.WAITING] * 3 + [State.HELD]
    assert courses[-1].next_at is None
    assert sum(ASK_AGAIN_AFTER, timedelta()) + ASK_AGAIN_AFTER[0] < timedelta(hours=2)


@pytest.mark.parametrize("cause", [Cause.DOUBT, Cause.NO_WECHAT, Cause.NOT_CHECKABLE])
def test_what_no_later_call_can_settle_goes_to_a_person_at_once(cause: Cause) -> None:
    assert first_course(Screened(passed=False, cause=cause), START).state is State.HELD


@pytest.mark.parametrize(
    ("word", "state"), [("pass", State.PASSED), ("review", State.HELD), ("risky", State.BLOCKED), ("new-word", State.HELD)]
)
def test_each_word_of_wechats_leads_somewhere_and_an_unknown_one_to_a_person(word: str, state: State) -> None:
    assert after_answer(word).state is state


def test_an_answer_is_awaited_half_an_hour_and_states_do_not_overlap() -> None:
    assert after_asking(START).next_at == START + ANSWER_WITHIN
    assert not OPEN & HIDDEN
    assert OPEN < DECIDABLE
