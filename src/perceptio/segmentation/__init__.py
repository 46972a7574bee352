"""From a `[SEG]` state to a mask: the bridge to SAM 2's mask decoder, its losses and its pre-training."""
