"""What each part of a training is worth: variants of one stage, trained and judged alike."""
