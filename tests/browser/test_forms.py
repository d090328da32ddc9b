"""The forms staff use most, filled in and sent on a telephone: what was typed is what is there afterwards."""

from __future__ import annotations

import pytest

from tests.browser.walking import NARROW, PATIENCE, faults_of

pytestmark = pytest.mark.browser


@pytest.fixture
def phone(console, opened):
    """Give a page 390 pixels wide, signed in as operations, and assert at the end that nothing failed in it."""
    page = opened("operations", viewport=NARROW, has_touch=True, is_mobile=True)
    page.set_default_timeout(PATIENCE)
    faults = faults_of(page)
    page.goto(f"{console}/admin/")
    yield page
    # A refused form is answered with 422, which the browser calls an error.
    assert [fault for fault in faults if "status of 422" not in fault] == []


def send(page) -> None:
    """Press the form's own button, which must lie within the screen."""
    button = page.locator("main form[method=post] .form-foot button[type=submit]").first
    button.scroll_into_view_if_needed()
    box = button.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= NARROW["width"]
    button.click()
    page.wait_for_selector(".notice.success")


def member(page, console: str) -> str:
    page.goto(f"{console}/admin/members/")
    return str(page.locator("td a[href^='/admin/members/']").first.get_attribute("href"))


def test_the_forms_of_every_day_are_sent_from_a_telephone(phone, console):
    page, who = phone, member(phone, console)

    page.goto(f"{console}{who}/edit")
    page.fill("#nickname", "测试改名")
    page.fill("#city", "杭州")
    send(page)
    assert page.locator("h1").inner_text().startswith("测试改名")

    page.goto(f"{console}{who}/points")
    assert "测试改名" in page.locator(".page-head .sub").inner_text()
    page.fill("#points", "321")
    page.fill("#reason", "活动补发积分")
    send(page)
    assert "321" in page.locator("[data-tab-panel=points], [role=tabpanel]").first.inner_text()

    page.goto(f"{console}{who}/coupon")
    page.select_option("#template", label="服务补偿券 15元")
    page.fill("#reason", "服务补偿")
    send(page)
    assert page.url.endswith(who)

    page.goto(f"{console}/admin/feedback/")
    page.goto(console + str(page.locator("td a[href^='/admin/feedback/T']").first.get_attribute("href")))
    page.fill("#reply-content", "您好，已为您登记处理。")
    page.locator("form[action$='/reply'] button[type=submit]").first.click()
    page.wait_for_selector(".notice.success")
    assert "您好，已为您登记处理。" in page.locator(".talk").inner_text()

    page.goto(f"{console}/admin/coupon_templates/new")
    page.fill("#name", "手机新建 立减5元")
    page.fill("#code", "from-a-phone")
    page.fill("#amount_off_fen", "5.00")
    page.fill("#days", "30")
    send(page)
    assert page.locator("h1").inner_text().startswith("手机新建 立减5元")

    page.goto(f"{console}/admin/birthdays/edit")
    page.fill("#points", "88")
    page.fill("#reason", "新一季生日礼")
    send(page)
    assert "88" in page.locator(".fields").first.inner_text()

    page.goto(f"{console}/admin/coupon-triggers/new/order_earned")
    page.fill("#code", "from-a-phone")
    page.fill("#name", "手机新建 满150送券")
    page.fill("#min_paid_fen", "150")
    page.locator("label", has_text="下次用券 满100减20").first.click()
    page.fill("#reason", "周末活动")
    send(page)
    assert "商品实付满150元，送「下次用券 满100减20」" in page.locator(".fields").first.inner_text()


def test_a_form_sent_wrong_says_so_at_its_field_and_keeps_what_was_typed(phone, console):
    page, who = phone, member(phone, console)
    page.goto(f"{console}{who}/points")
    page.fill("#points", "9999999999")
    page.fill("#reason", "太多了")
    with page.expect_response(lambda answer: answer.status == 422):
        page.locator("main form[method=post] button[type=submit]").click()
    assert page.locator(".wrong-text").first.is_visible()
    assert page.input_value("#reason") == "太多了"
