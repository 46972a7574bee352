"""Answers as a web page that one file holds: no script, nothing from the network, light and dark, any width."""

from __future__ import annotations

from perceptio.results.report.page import Asked, inline, page_begin, page_end, section, writing_page

__all__ = ["Asked", "inline", "page_begin", "page_end", "section", "writing_page"]
