"""What can be said and asked about a scene, from its graph: expressions, questions, answers, scoring."""
