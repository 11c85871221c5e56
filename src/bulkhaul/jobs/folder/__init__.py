"""The folder of a job: plain files on disk or below a prefix of a bucket, by the same code."""
