"""Where a `[SEG]` points in the picture: one optional part of ours. Without it the prompt is LISA's projection."""
