"""The Python peers as whole programs, each ``python CLIENT.py ENDPOINT BUCKET KEY PATH [SETTING=NUMBER …]``.

They import nothing of this project, so that none of them pays for a module it would not load itself. A KEY
that ends with a slash is a prefix: all its objects, to or from the files of the folder PATH.
"""
