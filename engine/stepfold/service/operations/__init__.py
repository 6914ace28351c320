"""The operations of the API, each a function of what is served and of a request."""
