"""Depth maps <-> codes: the teacher's normalised map, the VQ-VAE and its report."""
