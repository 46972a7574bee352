"""Distilling the depth codebook from a monocular teacher: maps computed once, then a VQ-VAE trained on them."""
