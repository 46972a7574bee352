"""Pseudo-labels for a user's own pictures: depth codes by Depth Anything V2, masks by SAM 2."""
