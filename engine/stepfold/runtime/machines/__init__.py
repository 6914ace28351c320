"""State machines as an engine knows them: what is registered, its versions, aliases and tags."""
