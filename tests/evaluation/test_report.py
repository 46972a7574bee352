"""Reports as a table and as JSON."""

from __future__ import annotations

import json
import math

import pytest

from perceptio.evaluation.report import Figure, Report, table


@pytest.fixture
def report() -> Report:
    found = Report("scenes, test", {"model": "nano", "limit": 5})
    found.add("cIoU", 0.71234567, 120)
    found.add("perplexity", 97.4321, 1000, percent=False)
    found.add("order, 5 points", math.nan, 0)
    return found


def test_figures_keep_their_order(report):
    assert report.figures[0] == Figure("cIoU", 0.71234567, 120, True)
    assert [figure.name for figure in report.figures] == ["cIoU", "perplexity", "order, 5 points"]


def test_json_holds_settings_and_figures_and_null_for_none(report):
    assert json.loads(report.to_json(), parse_constant=pytest.fail) == {  # no NaN: it is not JSON
        "title": "scenes, test",
        "model": "nano",
        "limit": 5,
        "figures": {
            "cIoU": {"value": 0.71235, "count": 120},
            "perplexity": {"value": 97.4321, "count": 1000},
            "order, 5 points": {"value": None, "count": 0},
        },
    }


def test_table_is_aligned(report):
    assert report.to_markdown().split("\n") == [
        "scenes, test",
        "",
        "| figure          |  value |    n |",
        "|-----------------|-------:|-----:|",
        "| cIoU            | 71.2 % |  120 |",
        "| perplexity      | 97.432 | 1000 |",
        "| order, 5 points |      - |    0 |",
    ]


def test_empty_report_is_a_table_without_rows():
    assert Report("nothing").to_markdown().split("\n") == [
        "nothing",
        "",
        "| figure | value | n |",
        "|--------|------:|--:|",
    ]
    assert json.loads(Report("nothing").to_json()) == {"title": "nothing", "figures": {}}


def test_reports_do_not_share_their_figures():
    first, second = Report("a"), Report("b")
    first.add("x", 1.0, 1)
    first.settings["model"] = "nano"
    assert second.figures == []
    assert second.settings == {}


def test_names_cannot_break_a_table() -> None:
    rows = table([("figure", "value"), ("a|b\nc\u2028d\x85e\x0bf", "1"), ("", "")]).split("\n")
    assert rows == [
        "| figure       | value |",
        "|--------------|------:|",
        "| a\\|b c d e f |     1 |",
        "|              |       |",
    ]
