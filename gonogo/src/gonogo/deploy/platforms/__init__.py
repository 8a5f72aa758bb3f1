"""The platforms there are, one file each."""
