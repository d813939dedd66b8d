"""The life of the index: custom search parameters come and go, and rows are made again while the server is used.

``parameters`` what a SearchParameter must be to be put in force · ``jobs`` what is to be done, kept in the store ·
``indexer`` who does it, in small steps · ``report`` how far it is.
"""
