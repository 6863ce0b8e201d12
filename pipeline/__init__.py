"""Ray Data jobs that make shards: web pages, image-text pairs and videos in, documents out."""
