"""From pictures and questions to answers: pictures read once, spans kept well-formed by a grammar, batches, streams."""
