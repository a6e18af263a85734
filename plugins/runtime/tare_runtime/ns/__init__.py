"""Containers from raw namespaces: driver and plan run in the daemon; init, join and what they import in the child."""
