"""img2dataset on a list of addresses: run by the interpreter of the environment that it is installed in.

Prints one line of JSON: images that came, seconds from the first to the last of them, seconds with start-up.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.many_hosts import stand_in

stand_in()  # here, so that the processes which img2dataset starts do it too: they import this file


def main() -> None:
    """Downloads what the list names, keeps nothing in the end, and says how long that took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("list", help="text file, an address a line; or Parquet with columns url and caption")
    parser.add_argument("--format", default="dummy", help="what it writes; dummy is nothing")
    for option in ("processes", "threads", "shard", "side", "quality"):
        parser.add_argument(f"--{option}", type=int, required=True)
    options = parser.parse_args()
    from img2dataset import download

    with TemporaryDirectory() as folder:
        started = time.time()
        download(
            url_list=options.list,
            output_folder=folder,
            image_size=options.side,
            resize_mode="keep_ratio",
            encode_quality=options.quality,
            processes_count=options.processes,
            thread_count=options.threads,
            number_sample_per_shard=options.shard,
            output_format=options.format,
            input_format="parquet" if options.list.endswith(".parquet") else "txt",
            caption_col="caption" if options.list.endswith(".parquet") else None,
            extract_exif=False,
            compute_hash=None,
        )
        seconds = time.time() - started
        shards = [json.loads(file.read_text()) for file in Path(folder).glob("*_stats.json")]
    working = max(shard["end_time"] for shard in shards) - min(shard["start_time"] for shard in shards)
    images = sum(shard["successes"] for shard in shards)
    print(json.dumps({"images": images, "seconds": working, "seconds_with_start_up": seconds}))


if __name__ == "__main__":
    main()
