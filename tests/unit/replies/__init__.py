"""Replies with random changes: each is taken for exactly what it says, or refused.

documents   replies as trees, their mutations, and a reader of XML that takes nothing but the plain
truths      what a reply says by the S3 API, written down without the code under test
"""
