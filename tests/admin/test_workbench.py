"""Every figure of the workbench has a definition and leads to the list behind it, which holds exactly what the figure says."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tasks.demo import load_demo
from tests.admin.conftest import SECRETS, sign_in

pytestmark = [pytest.mark.committing]
CARD = re.compile(
    r'<div class="figure"><div class="label">(?P<label>.*?)<span class="tip"[^>]*data-tip="(?P<tip>[^"]+)".*?'
    r'<div class="value"><a href="(?P<url>[^"]+)">(?P<value>[^<]+)</a>',
    re.DOTALL,
)
TODO = re.compile(
    r'<a class="todo [^"]*" href="(?P<url>[^"]+)" title="(?P<tip>[^"]+)".*?data-count="(?P<value>\d+)".*?class="label">(?P<label>[^<]+)<',
    re.DOTALL,
)
ROW = re.compile(r"<tr>(.*?)</tr>", re.DOTALL)
NEXT = re.compile(r'<a class="button" href="([^"]+)" rel="next"')
# A figure that is a sum is compared with the sum of a column, by the column's label; the others with the number of rows.
SUMMED = {"今日销售额": "应付金额", "今日发放积分": "积分", "今日核销积分": "积分"}


def number(text: str) -> float:
    plain = re.sub(r"<[^>]+>", "", text).replace("¥", "").replace(",", "").replace("−", "-").strip()
    return abs(float(plain))


def rows_of(client, url: str) -> list[str]:
    rows, pages = [], 0
    while url and pages < 60:
        page = client.get(url).get_data(as_text=True)
        body = page[page.index("<tbody>") : page.index("</tbody>")] if "<tbody>" in page else ""
        rows += ROW.findall(body)
        following = NEXT.search(page)
        url, pages = (unescape(following.group(1)) if following else ""), pages + 1
    return rows


def behind(client, label: str, url: str) -> float:
    rows = rows_of(client, url)
    column = SUMMED.get(label)
    if column is None:
        return len(rows)
    cells = [re.search(rf'data-label="{column}"[^>]*><span>(.*?)</span>', row, re.DOTALL) for row in rows]
    assert all(cells)
    return sum(number(cell.group(1)) for cell in cells if cell)


def figures_of(page: str) -> list[tuple[str, str, str, float]]:
    return [
        (found["label"].strip(), found["tip"], unescape(found["url"]), number(found["value"]))
        for pattern in (CARD, TODO)
        for found in pattern.finditer(page)
    ]


def test_every_figure_says_what_it_counts_and_leads_to_just_that(app, core):
    # Loading it takes longer than looking at it, so both roles look at one.
    load_demo(core)
    for role, least in (("operations", 10), ("store", 5)):
        client = sign_in(app.test_client(), core, SECRETS[role].role)
        page = client.get("/admin/").get_data(as_text=True)
        figures = figures_of(page)
        assert len(figures) == page.count('class="figure"') + page.count('class="todo ')
        assert len(figures) >= least
        wrong = [
            (label, value, there, url)
            for label, _tip, url, value in figures
            if (there := behind(client, label, url)) != pytest.approx(value)
        ]
        assert (role, wrong) == (role, [])
        assert all(re.search("[\u4e00-\u9fff]", tip) for _label, tip, _url, _value in figures)
