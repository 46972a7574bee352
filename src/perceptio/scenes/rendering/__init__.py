"""Drawing without a window: what both worlds need of OpenGL."""
