"""The databases behind the port ``store.py``."""
