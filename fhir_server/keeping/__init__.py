"""Moving and keeping whole stores: copies, backups and what they are verified by. Works on the port alone."""
