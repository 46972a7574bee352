"""The model: InternVL that writes spatial tokens, SAM2 that turns them into masks, a VQ-VAE that turns them into depth."""
