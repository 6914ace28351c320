"""How executions are kept going: the only room that knows task groups."""
