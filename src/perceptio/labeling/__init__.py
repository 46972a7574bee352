"""Teachers over a user's own pictures: depth codes and maps by a depth network, masks by SAM 2."""
