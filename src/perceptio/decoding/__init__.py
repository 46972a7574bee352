"""From a prompt to tokens: the grammar that keeps spans well-formed, and the decoding loops built on it."""
