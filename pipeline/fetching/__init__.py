"""What stands behind the door to the web; `pipeline.fetch` and `pipeline.network` are the ways in."""
