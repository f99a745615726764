"""The web page: HTML over the same use cases as the API. No decisions, no JavaScript needed."""
