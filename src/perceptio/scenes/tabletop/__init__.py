"""The table-top world: eight shapes in a room, drawn with flat colours and patterns."""
