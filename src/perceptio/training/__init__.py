"""From nothing (or a checkpoint) to a trained model: recipes, stages and one trainer for all of them."""
