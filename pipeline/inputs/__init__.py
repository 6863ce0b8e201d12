"""Lists, sitemaps, folders and sets that name or hold the pages of a run."""
