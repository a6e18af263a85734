"""Images: what they are called, what they are made of, and how they come in and go out. Start reading at store.py."""
