"""What a dry run says of the whole run."""

from __future__ import annotations

from perceptio.training.finetune.dry_run import whole_run
from perceptio.training.finetune.memory import DEVICES, Estimate


def test_hours_and_samples_a_second_are_of_all_devices() -> None:
    """A step that an A100 takes one second for, at 40 % of its 312e12 operations a second in bfloat16."""
    needed = Estimate({}, {}, bfloat16=int(0.4 * 312e12), float32=0)
    text = whole_run(needed, steps=7200, batch=64, devices=8)
    assert "2.00 h at 64.0 samples/s on 8 x A100" in text
    assert "0.63 h at 202.9 samples/s on 8 x H100" in text  # 989 / 312 times as fast
    assert text.count("samples/s") == len(DEVICES)
    assert "2.00 h at 64.0 samples/s on A100" in whole_run(needed, steps=7200, batch=64, devices=1)
