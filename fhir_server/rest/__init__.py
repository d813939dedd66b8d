"""The REST door: HTTP in, interactions, HTTP out."""
