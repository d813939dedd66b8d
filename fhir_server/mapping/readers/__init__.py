"""Formats of local messages: each reader turns bytes into a tree that is asked by place."""
