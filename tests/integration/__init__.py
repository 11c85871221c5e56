"""Whole engines and commands: processes that die, disks that refuse, programs around them."""
