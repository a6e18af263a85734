"""The kernel's overlayfs: a layer is a directory with what it changes."""
