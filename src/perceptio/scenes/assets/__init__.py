"""Models and surface pictures of the second world: from Debian's packages to one pack."""
