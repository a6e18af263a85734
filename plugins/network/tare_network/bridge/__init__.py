"""The driver ``bridge``: containers on a bridge of the host, behind its address."""
