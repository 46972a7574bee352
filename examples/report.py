"""One web page of several answers, to open in any browser or to send to somebody: hover the words."""

from __future__ import annotations

from pathlib import Path

from perceptio import Perceptio
from perceptio.results.report import Asked, writing_page

PICTURE = Path(__file__).parents[1] / "src" / "perceptio" / "assets" / "sample.png"
QUESTIONS = {  # with the parts that the answer must have
    "Which is nearer, the brown pyramid or the green pyramid?": {"seg": "on", "depth": "on"},
    "Segment the yellow cylinder.": {"seg": "on"},
    "Segment the red cone.": {},
}

model = Perceptio.from_pretrained("nano")
page = Path("out/examples/report.html")
with model.open(PICTURE) as picture, writing_page(page) as add:
    for question, parts in QUESTIONS.items():
        answer = picture.ask(question, **parts)
        print(answer.text)
        add(Asked(answer, question, PICTURE.name))
print(f"{page}: {page.stat().st_size / 1000:.0f} kB")
