"""Charts: plain data in, an ECharts option out. The browser's part is ``static/console.js``; the data travels as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from admin.formats import translated

# The first is the brand's; all keep 3:1 against white and stay apart for colour-blind readers.
PALETTE = ("#3056d3", "#13a8a8", "#f0a020", "#7a5af8", "#52a447", "#5b8ff9", "#8c8c8c", "#d9363e")

_DOTS = 15  # more of them hide the line


@dataclass(frozen=True, slots=True)
class Series:
    """One row of numbers.

    Arguments:
        name: English msgid.
        values: one for each label, None for a gap.
        kind: ``line``, ``area`` or ``bar``.
        right: measured on the right axis.
        unit: ``number``, ``fen`` or ``percent``: how the browser writes it.
    """

    name: str
    values: Sequence[float | None]
    kind: str = "line"
    right: bool = False
    unit: str = "number"


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with its title, definition and ECharts option.

    Arguments:
        title: English msgid.
        option: ECharts' own document, JSON only.
        tip: English msgid that defines what is shown.
        height: in pixels.
        empty: nothing to draw: the empty state is shown.
    """

    title: str
    option: dict[str, Any]
    tip: str = ""
    height: int = 300
    empty: bool = False


def trend(title: str, labels: Sequence[str], series: Sequence[Series], *, tip: str = "", height: int = 300) -> Chart:
    """Return lines, areas and bars over days or months.

    Arguments:
        title: English msgid.
        labels: one for each value.
        series: what is drawn.
        tip: English msgid, the definition.
        height: in pixels.
    """
    drawn = []
    for place, one in enumerate(series):
        colour = PALETTE[place % len(PALETTE)]
        item: dict[str, Any] = {
            "name": translated(one.name),
            "type": "bar" if one.kind == "bar" else "line",
            "data": list(one.values),
            "yAxisIndex": 1 if one.right else 0,
            "itemStyle": {"color": colour},
            "unit": one.unit,
        }
        if one.kind == "bar":
            item["barMaxWidth"] = 18
            item["itemStyle"]["borderRadius"] = [3, 3, 0, 0]
        else:
            item.update(smooth=0.3, symbol="circle", symbolSize=5, showSymbol=len(labels) <= _DOTS, lineStyle={"width": 2})
        if one.kind == "area":
            item["areaStyle"] = {"opacity": 0.12}
        drawn.append(item)
    axis = {"type": "value", "splitLine": {"lineStyle": {"color": "#eef0f4"}}, "minInterval": 1}
    right = any(one.right for one in series)
    option = {
        "tooltip": {"trigger": "axis"},
        # Scrolls where it does not fit, instead of wrapping over the drawing.
        "legend": {"type": "scroll", "top": 0, "right": 0, "icon": "roundRect", "itemWidth": 10, "itemHeight": 10},
        "grid": {"left": 8, "right": 8 if not right else 12, "top": 40, "bottom": 4, "containLabel": True},
        "xAxis": {"type": "category", "data": list(labels), "axisTick": {"show": False}, "axisLine": {"lineStyle": {"color": "#d5d9e2"}}},
        "yAxis": [axis, {**axis, "splitLine": {"show": False}}] if right else [axis],
        "series": drawn,
    }
    return Chart(title, option, tip, height, empty=not any(value for one in series for value in one.values))


def ring(title: str, parts: Sequence[tuple[str, float]], *, tip: str = "", height: int = 300) -> Chart:
    """Return shares of a whole as a ring."""
    data = [
        {"name": translated(name), "value": value, "itemStyle": {"color": PALETTE[place % len(PALETTE)]}}
        for place, (name, value) in enumerate(parts)
    ]
    option = {
        "tooltip": {"trigger": "item"},
        "legend": {"bottom": 0, "icon": "circle", "itemWidth": 8, "itemHeight": 8},
        "series": [
            {
                "type": "pie", "radius": ["52%", "74%"], "center": ["50%", "44%"], "data": data, "label": {"show": False},
                "itemStyle": {"borderColor": "#fff", "borderWidth": 2},
            }
        ],
    }  # fmt: skip
    return Chart(title, option, tip, height, empty=not any(value for _, value in parts))


def bars(title: str, parts: Sequence[tuple[str, float]], *, tip: str = "", height: int = 300, unit: str = "") -> Chart:
    """Return lying bars, the first on top; ``unit`` as in ``Series``, with room for long words when it is money."""
    rows = list(reversed(parts))
    measured = {"name": translated(title), "unit": unit} if unit else {}
    option = {
        "tooltip": {"trigger": "axis", "axisPointer": {"type": "shadow"}},
        "grid": {"left": 8, "right": 80 if unit else 40, "top": 8, "bottom": 4, "containLabel": True},
        "xAxis": {
            "type": "value", "splitLine": {"lineStyle": {"color": "#eef0f4"}}, "minInterval": 1, "splitNumber": 3,
            "axisLabel": {"hideOverlap": True},
        },
        "yAxis": {
            "type": "category", "data": [translated(name) for name, _ in rows], "axisTick": {"show": False}, "axisLine": {"show": False},
            # Long words would leave no room for the bars in a narrow card.
            "axisLabel": {"width": 118, "overflow": "break", "lineHeight": 15},
        },
        "series": [
            {
                "type": "bar", "data": [value for _, value in rows], "barMaxWidth": 16, "label": {"show": True, "position": "right"},
                "itemStyle": {"color": PALETTE[0], "borderRadius": [0, 3, 3, 0]}, **measured,
            }
        ],
    }  # fmt: skip
    return Chart(title, option, tip, height, empty=not any(value for _, value in parts))


def funnel(title: str, steps: Sequence[tuple[str, float]], *, tip: str = "", height: int = 300) -> Chart:
    """Return the steps of a funnel, widest first."""
    data = [
        {"name": translated(name), "value": value, "itemStyle": {"color": PALETTE[place % len(PALETTE)]}}
        for place, (name, value) in enumerate(steps)
    ]
    option = {
        "tooltip": {"trigger": "item"},
        "series": [
            {
                "type": "funnel", "data": data, "sort": "none", "gap": 2, "left": "8%", "width": "84%", "top": 8, "bottom": 8,
                "label": {"show": True, "position": "inside", "formatter": "{b}  {c}"}, "minSize": "18%",
            }
        ],
    }  # fmt: skip
    return Chart(title, option, tip, height, empty=not any(value for _, value in steps))
