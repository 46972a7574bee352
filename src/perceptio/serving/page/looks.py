"""How the page looks: system fonts, one accent colour, both light and dark. Nothing is loaded from elsewhere."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.themes.utils.colors import Color

STATIC = Path(__file__).parent / "static"

_ACCENT = Color(
    name="accent", c50="#eef2ff", c100="#e0e7ff", c200="#c7d2fe", c300="#a5b4fc", c400="#818cf8", c500="#5b5bd6",
    c600="#4c4bc4", c700="#3f3ea6", c800="#343388", c900="#2b2b6b", c950="#1b1b45",
)  # fmt: skip
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "monospace")


def static(name: str) -> str:
    """The text of one of the page's own files."""
    return (STATIC / name).read_text(encoding="utf-8")


def theme() -> gr.themes.Base:
    """Gradio's plain theme in our accent."""
    return gr.themes.Base(
        primary_hue=_ACCENT, neutral_hue="zinc", radius_size="lg", text_size="md", font=_SANS, font_mono=_MONO
    ).set(
        body_background_fill="#fafafa",
        body_background_fill_dark="#111113",
        block_border_width="0px",
        block_shadow="none",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        button_primary_background_fill="*primary_500",
        button_primary_background_fill_hover="*primary_600",
        button_primary_background_fill_dark="*primary_500",
        button_primary_background_fill_hover_dark="*primary_400",
        button_primary_text_color="white",
    )
