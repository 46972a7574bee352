"""The page's layout, and which event goes to which handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import gradio as gr

from perceptio.images import load_image
from perceptio.serving.engine import Engine
from perceptio.serving.page.drawing import data_url
from perceptio.serving.page.examples import EXAMPLES
from perceptio.serving.page.files import FILES, KEPT_S, RELIEF_FILE, still_there
from perceptio.serving.page.handlers import Handlers
from perceptio.serving.page.looks import static
from perceptio.serving.page.talk import Talk

_THUMBNAIL = 144  # px
_SWITCHES = [("off", "off"), ("auto", "auto"), ("on", "on")]
_CAMERA = (90, 95, 4)  # degrees around and from above, and the distance: almost as the picture was taken
_HEADER = """<header class="page-header"><h1>Perceptio</h1>
<p>Ask a picture. What the answer speaks of is marked, and its depth drawn.</p></header>"""


_RELIEF = (
    '<p class="note">The latest depth map as a relief: drag to turn it. Depth is relative; its scale is a guess.</p>'
)
_NO_TOKENS = '<p class="note">What the model writes for an answer, token by token.</p>'


def build_page(engine: Engine, folder: Path) -> gr.Blocks:
    """The page of an engine.

    Args:
        engine: that was started.
        folder: where files for downloads are written.
    """
    handlers = Handlers(engine, folder)
    with gr.Blocks(title="Perceptio", analytics_enabled=False, delete_cache=(600, KEPT_S), fill_width=True) as page:
        talk = gr.State(Talk(), time_to_live=KEPT_S)
        gr.HTML(_HEADER, padding=False)
        with gr.Row(elem_id="main", equal_height=False):
            with gr.Column(scale=7, min_width=320):
                viewer = _component("viewer", Talk().views()[0], examples=_thumbnails())
                choose = gr.UploadButton("Choose a picture", elem_id="choose", type="binary", size="md")
            with gr.Column(scale=5, min_width=320, elem_id="talk"):
                conversation = _component("conversation", Talk().views()[1])
                with gr.Row(elem_id="ask-row"):
                    question = gr.Textbox(
                        placeholder="Ask about the picture", label="Question", show_label=False, container=False,
                        lines=1, max_lines=1, max_length=2000, scale=1, elem_id="question",
                    )  # fmt: skip
                    ask = gr.Button("Ask", variant="primary", scale=0, min_width=88, elem_id="ask")
                    stop = gr.Button("Stop", scale=0, min_width=88, elem_id="stop")
                with gr.Row(elem_id="options"):
                    masks = gr.Radio(_SWITCHES, value="auto", label="Masks", elem_classes="switch")
                    depth = gr.Radio(_SWITCHES, value="auto", label="Depth map", elem_classes="switch")
                remember = gr.Checkbox(False, label="Questions may refer to earlier ones", elem_id="remember")
        with gr.Tabs(elem_id="more"):
            with gr.Tab("Relief"):
                gr.HTML(_RELIEF, padding=False)
                relief = gr.Model3D(
                    label="Relief of the depth map", show_label=False, clear_color=(0, 0, 0, 0),
                    camera_position=_CAMERA, height=420, interactive=False, elem_id="relief",
                )  # fmt: skip
            with gr.Tab("Tokens"):
                tokens = gr.HTML(_NO_TOKENS, padding=False, apply_default_css=False)
            with gr.Tab("Download"), gr.Row(elem_id="downloads"):
                downloads = [
                    gr.DownloadButton(label, interactive=False, size="md", min_width=160) for label in FILES.values()
                ]

        def finished(talk: Talk) -> tuple[Any, ...]:
            """The latest answer's tokens, relief and files."""
            talk.files = files = still_there(talk.files)
            buttons = [gr.update(value=files.get(name), interactive=name in files) for name in FILES]
            return talk.tokens or _NO_TOKENS, files.get(RELIEF_FILE), *buttons

        views, results = [viewer, conversation], [tokens, relief, *downloads]
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        many: dict[str, Any] = {**quiet, "concurrency_limit": engine.settings.batch_size}
        switches = [masks, depth, remember]
        taken = [
            choose.upload(handlers.take, [talk, choose], views, **quiet),
            viewer.chosen(handlers.choose, talk, views, **quiet),
        ]
        asked = [
            question.submit(handlers.ask, [talk, question, *switches], [*views, question], **many),
            ask.click(handlers.ask, [talk, question, *switches], [*views, question], **many),
            conversation.suggested(handlers.ask_suggested, [talk, *switches], [*views, question], **many),
            viewer.pointed(handlers.point, talk, views, **many),
        ]
        for event in [*taken, *asked[:-1]]:
            event.success(finished, talk, results, **quiet)
        stop.click(handlers.stop, talk, views, cancels=asked, **quiet)
    _fetch_nothing(page)
    return page


def _component(name: str, value: dict[str, Any], **props: Any) -> gr.HTML:
    """One of our own components, which draws itself in the browser from its value."""
    return gr.HTML(
        value, html_template=static(f"{name}.html"), js_on_load=static(f"{name}.js"), apply_default_css=False,
        padding=False, elem_id=name, **props,
    )  # fmt: skip


def _thumbnails() -> list[dict[str, str]]:
    found = []
    for example in EXAMPLES:
        small = load_image(example.path)
        small.thumbnail((_THUMBNAIL, _THUMBNAIL))
        found.append({"name": example.name, "alt": example.alt, "src": data_url(small, quality=80)})
    return found


def _fetch_nothing(page: gr.Blocks) -> None:
    """Gradio downloads a file whose path a visitor's request gives as a web address: refuse that everywhere."""
    for block in page.blocks.values():
        vars(block)["async_move_resource_to_block_cache"] = _local_only(block.async_move_resource_to_block_cache)


def _local_only(move: Callable[[Any], Awaitable[str | None]]) -> Callable[[Any], Awaitable[str | None]]:
    async def local(path: Any) -> str | None:
        if "://" in str(path):
            raise gr.Error("A picture is uploaded, not given by its address.", print_exception=False)
        return await move(path)

    return local
