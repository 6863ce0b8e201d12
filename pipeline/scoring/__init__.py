"""What models say of images: actors that go from shard to shard, and a table of scores for each."""
