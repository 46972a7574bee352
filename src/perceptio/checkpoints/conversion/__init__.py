"""Checkpoints of other formats, by their names: InternVL's original one, SAM 2's original one, Sa2VA."""
