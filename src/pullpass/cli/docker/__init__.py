"""``pullpass docker``: the credential helper in the files of container clients."""
