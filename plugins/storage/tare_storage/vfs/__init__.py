"""Full copies: a layer is a directory with everything in it. The plain reference that works on any file system."""
