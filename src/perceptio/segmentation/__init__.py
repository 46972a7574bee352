"""From the state at `[SEG]` to a mask: SAM2's frozen encoder, its mask decoder and the mask losses."""
