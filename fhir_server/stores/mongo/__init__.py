"""The store in a MongoDB replica set or sharded cluster."""
