"""Every published size on `meta`, through our own classes; the counts stand in docs/scale.md."""

from __future__ import annotations

import pytest
import torch

from perceptio.checkpoints.assemble import count_parameters
from perceptio.checkpoints.sizes import INTERNVL, SAM, internvl_config, sam_config
from perceptio.depth.configuration import DepthTokenizerConfig
from perceptio.model.configuration import PerceptioConfig
from perceptio.model.modeling import PerceptioForConditionalGeneration

# parameters, and billions that the model cards publish
INTERNVL_COUNTS = {
    "InternVL2.5-1B": (938_193_024, 0.94),
    "InternVL2.5-2B": (2_205_754_368, 2.21),
    "InternVL2.5-4B": (3_712_637_952, 3.71),
    "InternVL2.5-8B": (8_075_365_376, 8.08),
    "InternVL2.5-26B": (25_514_186_112, 25.5),
    "InternVL2.5-38B": (38_388_164_992, 38.4),
    "InternVL3-1B": (938_193_024, 0.94),
    "InternVL3-2B": (2_088_957_440, 2.09),
    "InternVL3-8B": (7_944_373_760, 7.94),
    "InternVL3-9B": (9_141_898_240, 9.14),
    "InternVL3-14B": (15_117_256_704, 15.1),
    "InternVL3-38B": (38_388_164_992, 38.4),
    "InternVL3.5-1B": (1_060_897_792, 1.06),
    "InternVL3.5-2B": (2_348_347_392, 2.35),
    "InternVL3.5-4B": (4_732_489_216, 4.73),
    "InternVL3.5-8B": (8_528_318_464, 8.53),
    "InternVL3.5-14B": (15_119_523_840, 15.1),
    "InternVL3.5-38B": (38_390_405_504, 38.4),
}
# parameters, and bytes of the published float32 file, which holds 7.6M parameters for video besides
SAM_COUNTS = {
    "tiny": (31_440_721, 156_008_466),
    "small": (38_538_577, 184_416_285),
    "base-plus": (73_328_401, 323_606_802),
    "large": (216_924_865, 898_083_611),
}


def on_meta(vlm: str, sam: str) -> PerceptioForConditionalGeneration:
    config = PerceptioConfig(vlm=internvl_config(vlm), sam=sam_config(sam), depth=DepthTokenizerConfig())
    again = PerceptioConfig(**config.to_dict())  # as read from a file
    with torch.device("meta"):
        return PerceptioForConditionalGeneration(again)


def test_every_size_is_counted() -> None:
    assert set(INTERNVL_COUNTS) == set(INTERNVL)
    assert set(SAM_COUNTS) == set(SAM)


@pytest.mark.parametrize("name", INTERNVL)
def test_each_internvl_has_its_published_size(name: str) -> None:
    model = on_meta(name, "tiny")
    expected, published = INTERNVL_COUNTS[name]
    assert count_parameters(model.vlm.parameters()) == expected
    assert expected / 1e9 == pytest.approx(published, rel=0.005)
    width = model.config.vlm.text_config.hidden_size
    assert model.projector.layers[0].in_features == width
    assert model.vlm.lm_head.weight is not model.vlm.get_input_embeddings().weight


@pytest.mark.parametrize("name", SAM)
def test_each_sam_has_its_published_size_but_for_video(name: str) -> None:
    model = on_meta("InternVL3-1B", name)
    expected, stored = SAM_COUNTS[name]
    assert count_parameters(model.sam.parameters()) == expected
    assert stored / 4 - expected == pytest.approx(7.57e6, abs=0.05e6)
    assert count_parameters(model.sam.mask_decoder.parameters()) == 4_215_109


def test_an_unknown_size_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown InternVL 'InternVL3-3B': known are InternVL2\.5-1B"):
        internvl_config("InternVL3-3B")
    with pytest.raises(ValueError, match="unknown size 'huge' of SAM 2: known are tiny"):
        sam_config("huge")
