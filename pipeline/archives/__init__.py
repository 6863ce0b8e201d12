"""Pages and pictures that lie in WARC and ARC archives; `archive.py` is the door to them."""
