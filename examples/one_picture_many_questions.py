"""Perceive a picture once, then ask as often as you like, several questions at a time; and click."""

from __future__ import annotations

import time
from pathlib import Path

from perceptio import Perceptio
from perceptio.images import load_image
from perceptio.visualize import contact_sheet, draw_masks

PICTURE = Path(__file__).parents[1] / "src" / "perceptio" / "assets" / "sample.png"
QUESTIONS = ["Segment the yellow cylinder.", "Segment the red sphere.", "How many pyramids are there?"]
OUT = Path("out/examples")
CLICK = (334, 202)  # x, y px, on the green pyramid

model = Perceptio.from_pretrained("nano")
with model.open(PICTURE) as picture:
    began = time.perf_counter()
    answers = picture.ask_batch(QUESTIONS)
    print(f"{len(QUESTIONS)} answers in {time.perf_counter() - began:.1f} s")
    (clicked,) = picture.segment(points=[[CLICK]])

for question, answer in zip(QUESTIONS, answers, strict=True):
    print(f"{question} {answer.text}")
tiles = [(answer.overlay(), f"{question}\n{answer.text}") for question, answer in zip(QUESTIONS, answers, strict=True)]
marked = draw_masks(load_image(PICTURE), [clicked.array], ["clicked"])
tiles.append((marked, f"a click at {CLICK}"))
OUT.mkdir(parents=True, exist_ok=True)
contact_sheet(tiles, columns=4, width=260).save(OUT / "one_picture_many_questions.jpg", quality=85)
