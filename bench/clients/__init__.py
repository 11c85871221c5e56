"""The Python peers as whole programs, each ``python CLIENT.py ENDPOINT BUCKET KEY DEST``.

They import nothing of this project, so that none of them pays for a module it would not load itself.
"""
