"""Other people's weights: assembled to a model, converted, and written for others."""
