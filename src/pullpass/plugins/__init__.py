"""Programs that container clients call: standard library only, and nothing else of Pullpass."""
