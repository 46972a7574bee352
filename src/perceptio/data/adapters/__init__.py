"""Public data sets in their original formats -> samples (`perceptio.data.schema`); docs/datasets.md lists them."""
