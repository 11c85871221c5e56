"""Frozen values and typed errors: what the other rooms talk in. Imports nothing of ours."""
