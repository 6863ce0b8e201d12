"""Rules: small pure functions from a value to a measure. A job's config holds the thresholds."""
