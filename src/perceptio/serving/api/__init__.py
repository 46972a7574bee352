"""The HTTP server: OpenAI's chat completions with masks and depth, and two routes of our own."""
