"""What replies tell, checked and turned into values, whoever has sent the request: the lane, or the SDK.

Members are named as in the S3 API. Names of headers are in lower case.
"""
