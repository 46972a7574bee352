"""From pictures and questions to answers: pictures read once, a grammar that keeps spans well-formed, batched decoding."""
