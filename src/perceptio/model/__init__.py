"""The model: InternVL that writes spatial tokens, SAM2 and a VQ-VAE that turn them into masks and depth."""
