"""The page: choose a picture, ask about it, and see what the answer is about. `app` runs it."""
