"""Keys grow, numbers carry a check digit, tokens are stored as hashes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from server.kernel.ids import dated_number, luhn_digit, luhn_holds, new_token, random_code, random_digits, token_hash, uuid7


def test_keys_are_version_seven_unique_and_in_order():
    keys = [uuid7() for _ in range(5000)]
    assert {key.version for key in keys} == {7}
    assert {key.variant for key in keys} == {"specified in RFC 4122"}
    assert keys == sorted(set(keys))


def test_keys_made_by_many_threads_are_unique():
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: uuid7(), range(4000)))
    assert len(set(keys)) == 4000


def test_the_check_digit_is_that_of_the_standard():
    assert luhn_digit("7992739871") == "3"
    assert luhn_holds("79927398713")
    assert not luhn_holds("7")
    assert not luhn_holds("7992739871x")


@given(st.text("0123456789", min_size=2, max_size=18), st.data())
def test_one_wrong_digit_is_always_found(body, data):
    number = body + luhn_digit(body)
    place = data.draw(st.integers(0, len(number) - 1))
    wrong = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    assert luhn_holds(number)
    assert not luhn_holds(number[:place] + wrong + number[place + 1 :])


def test_numbers_for_people_carry_the_day_and_a_check_digit():
    number = dated_number("260615", "T")
    assert number.startswith("T260615")
    assert luhn_holds(number[1:])
    assert len(number) == 16


def test_random_texts_have_their_length_and_alphabet():
    assert len(random_digits(18)) == 18
    assert not set(random_code(40)) & set("0O1IL")
    token = new_token()
    assert len(token) >= 43
    assert token_hash(token) != token
    assert len(token_hash(token)) == 64
