"""The nine parameter types: how each reads a value, makes rows, and decides whether they meet."""
