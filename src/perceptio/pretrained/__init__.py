"""Folders of trained networks: their files, configurations and weights are checked before a library reads them."""
