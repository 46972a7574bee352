"""What it takes to make a small model from nothing: stand-ins for the training that parents come with."""
