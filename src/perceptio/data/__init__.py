"""What a model is taught: one schema of samples; reading, checking and mixing them; packing them into sequences."""
