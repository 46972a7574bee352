"""Monocular networks that say how deep a photograph is: each of transformers' class, its files checked first."""
