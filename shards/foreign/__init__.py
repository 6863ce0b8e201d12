"""Sets that other tools wrote, read in place as documents; `python -m shards.adopt` makes a dataset of one."""
