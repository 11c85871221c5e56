"""The lean lane: the common operations of S3, spoken over the fast transport's connections, without boto3.

Where the service answers what only the SDK knows how to follow, ``AskSdk`` is raised: see ``client``.
"""
