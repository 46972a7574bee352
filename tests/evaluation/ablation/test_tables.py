"""Reports and tables of an ablation whose samples are made up, so that every figure can be computed by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from perceptio.evaluation.ablation.plan import AblationPlan, Seeds
from perceptio.evaluation.ablation.run import FREE, REPLACED, TEST, tokens_folder
from perceptio.evaluation.ablation.tables import reports_of, tables
from perceptio.evaluation.compare import mcnemar
from perceptio.evaluation.judged import Judged, Overlap, figures
from perceptio.evaluation.report import Report

PICTURES = 40
PLAN = AblationPlan("x", "start", seeds=Seeds(**dict.fromkeys(vars(Seeds()), 0) | {"full": 2, "no_depth": 2}))
SHARES = {("full", 0): 0.5, ("full", 1): 0.6, ("no_depth", 0): 0.3, ("no_depth", 1): 0.4}


def answers(share: float, seed: int) -> list[Judged]:
    rng = np.random.default_rng(seed)
    return [
        Judged(
            f"s{number}",
            f"p{number // 2}",
            {
                "counting": bool(rng.random() < share),
                "depth AbsRel": float(rng.random()),
                "referring": Overlap(int(rng.integers(50)), 100),
                "malformed answers": False,
            },
        )
        for number in range(2 * PICTURES)
    ]


def write(folder: Path, samples: Sequence[Judged], name: str) -> None:
    folder.mkdir(parents=True)
    report = Report("scenes", {"model": name, "weights": "0", "split": "test"}, figures(samples, ["referring"]))
    (folder / "report.json").write_text(report.to_json())
    (folder / "samples.jsonl").write_text("".join(sample.to_json() + "\n" for sample in samples))
    (folder / "timing.json").write_text(json.dumps({"seconds": 20.0 * (1 + int(name[-1])), "samples": len(samples)}))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], list[Judged]]:
    return {job: answers(share, seed) for seed, (job, share) in enumerate(SHARES.items())}


@pytest.fixture(scope="module")
def folder(found: dict[tuple[str, int], list[Judged]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablation")
    for (variant, seed), samples in found.items():
        for test in (TEST, FREE):
            write(folder / f"{variant}-{seed}" / test, samples, f"{variant}-{seed}")
    for number, kind in enumerate(REPLACED):
        write(folder / "full-0" / tokens_folder(kind), answers(0.2 * number, 9 + number), "full-0")
    return folder


def counts(samples: Sequence[Judged]) -> list[bool]:
    return [bool(sample.outcomes["counting"]) for sample in samples]


def test_values_and_differences_stand_on_all_seeds_and_the_test_on_the_first(
    folder: Path, found: dict[tuple[str, int], list[Judged]]
) -> None:
    figure = reports_of(PLAN, folder)["no_depth"]["figures"]["counting"]
    value = {job: np.mean(counts(samples)) for job, samples in found.items()}
    full, without = (np.mean([value[variant, seed] for seed in (0, 1)]) for variant in ("full", "no_depth"))
    assert figure["value"] == pytest.approx(without, abs=1e-5)
    assert figure["difference"] == pytest.approx(without - full, abs=1e-5)
    pairs = list(zip(counts(found["full", 0]), counts(found["no_depth", 0]), strict=True))
    gained, lost = (sum(pair == way for pair in pairs) for way in ((False, True), (True, False)))
    assert (figure["gained"], figure["lost"]) == (gained, lost)
    assert figure["p"] == pytest.approx(mcnemar(gained, lost), rel=1e-2)
    # a bootstrap over pictures, the four questions of each drawn together: 1.96 standard errors of their means
    means = np.array([counts(found["no_depth", seed]) for seed in (0, 1)]).reshape(2, PICTURES, 2).mean((0, 2))
    half = 1.96 * means.std() / PICTURES**0.5
    assert figure["interval"] == pytest.approx([without - half, without + half], abs=0.02)


def test_ciou_is_of_the_sums_over_all_seeds(folder: Path, found: dict[tuple[str, int], list[Judged]]) -> None:
    figure = reports_of(PLAN, folder)["full"]["figures"]["referring cIoU"]
    overlaps = [sample.outcomes["referring"] for seed in (0, 1) for sample in found["full", seed]]
    inside = sum(item.intersection for item in overlaps if isinstance(item, Overlap))
    assert figure["value"] == pytest.approx(inside / (100 * len(overlaps)), abs=1e-5)
    assert figure["interval"][0] < figure["value"] < figure["interval"][1]


def test_what_says_nothing_of_a_variant_is_left_out(folder: Path) -> None:
    reports = reports_of(PLAN, folder)
    assert "depth AbsRel" in reports["full"]["figures"]
    assert "depth AbsRel" not in reports["no_depth"]["figures"]
    assert "depth AbsRel" not in reports["no_depth"]["runs"][0]["figures"]
    assert list(reports["full"]["figures"])[:2] == ["referring cIoU", "referring gIoU"]  # in the benchmark's order
    assert list(reports["full"]["figures"])[-1] == "malformed answers, free"


def test_the_tables_show_the_reports(folder: Path) -> None:
    reports = reports_of(PLAN, folder)
    text = tables(reports)
    cells = {}
    for part in text.split("### ")[1:]:
        head, *lines = part.strip().split("\n")
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        cells[head] = {row[0]: row[1:] for row in rows}
    values, changes, seeds, tokens, replaced = cells.values()
    figure = reports["no_depth"]["figures"]["counting"]
    low, high = figure["interval"]
    assert values["counting"][1] == f"{figure['value']:.3f} [{low:.3f}, {high:.3f}]"
    assert values["depth AbsRel"][1] == "-"
    assert values["seconds an answer"] == ["0.375", "0.375"]  # of 0.25 and 0.5
    low, high = figure["difference_interval"]
    change = f"**{figure['difference']:+.3f} [{low:+.3f}, {high:+.3f}]**, {figure['p']:.2g}"
    assert high < 0
    assert changes["counting"] == [change]
    share = reports["full"]["runs"][1]["figures"]["counting"]
    assert seeds["counting"][1] == f"{share['value']:.3f} ± {share['error']:.3f}"
    assert seeds["depth AbsRel"][2:] == ["-", "-"]
    assert tokens["value [95 % interval]"][:2] == ["generated", "true (oracle)"]
    assert len(replaced["counting"]) == len(REPLACED)
    assert replaced["counting"][0].startswith("**-")
    assert "malformed answers, free" not in tokens
