"""The routes, one file a noun; each ends in a table ROUTES."""
