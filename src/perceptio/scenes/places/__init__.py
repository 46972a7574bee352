"""The second world: rooms and streets of real things, drawn like photographs."""
