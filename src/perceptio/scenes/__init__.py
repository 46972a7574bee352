"""A procedural world: unlimited images with exact masks, exact depth and true sentences about them."""
