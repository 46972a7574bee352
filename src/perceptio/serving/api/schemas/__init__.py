"""What goes over the wire, as /openapi.json describes it."""
