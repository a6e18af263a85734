"""The runtime drivers that tare brings along, as a plugin like any other.

The entry point is ``tare_runtime.registration``: this package is also imported by the container's child, which must not
load the hooks.
"""
