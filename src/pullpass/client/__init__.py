"""The client of the Pullpass API: ``from pullpass.client.sync import Client``."""
