"""Use cases that span domains, one file each, each in one transaction."""
