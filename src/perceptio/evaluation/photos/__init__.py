"""Order of depth and named things on real photographs, judged by eye: a small set that nothing is trained on."""
