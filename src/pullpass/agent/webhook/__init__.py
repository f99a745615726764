"""The admission webhook: pods get the names of their pull secrets as they are created."""
