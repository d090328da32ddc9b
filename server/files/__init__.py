"""Files that people hand in: photos of tickets, avatars.

Invariants: what is stored was decoded and written anew by us, so it carries no EXIF, no script and no second file behind the picture;
names are random and never come from the client; a file is reached only through a signed address that expires, or by its owner.
"""
