"""What stands on the wire, for writing answers and for the OpenAPI document."""
