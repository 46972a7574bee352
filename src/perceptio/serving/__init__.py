"""The model over the network and on a page: the engine that both use, the HTTP server, the page."""
