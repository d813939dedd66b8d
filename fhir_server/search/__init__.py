"""Searching: what can be searched for, what is asked, and what a resource is found by.

``registry`` knows the parameters, ``parse`` makes a Query of a URL, ``extract`` index rows of a resource;
a store only ever compares the one with the other (``match`` is that comparison in its plainest form).
"""
