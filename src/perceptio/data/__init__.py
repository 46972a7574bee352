"""What a model is taught: one record schema, and the packing of records into sequences."""
