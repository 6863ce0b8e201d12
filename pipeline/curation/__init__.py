"""From shards to shards: documents judged by rules and against each other, every drop with its number."""
