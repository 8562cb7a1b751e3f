"""A folder of many pictures: its scan, the start of a training, memory, and the rate beside the decoder alone.

    python benchmarks/image_folder.py                          # 100,000 gray PNG of 28 x 28, 2,000 JPEG of 256 x 256
    python benchmarks/image_folder.py --pictures 10000 --photos 500
    python benchmarks/image_folder.py --names 1000000          # and the scan of a million empty files

The decoder alone is a loop of ``numpy.asarray(PIL.Image.open(file))`` over the same files in one thread. It and the
source take turns on warm files, and a ratio is that of the two rates of a turn, by wall time and by processor time. A
start is that of a process that trains one step, from the call of ``fit`` to its end, with the growth of its memory.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

RESULT = Path(__file__).parent / "results" / "image_folder.json"
SCAN = """
import json, resource, sys, time
from pathlib import Path
from isthmus.data.storage.disk import DiskTree
before, now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
tree = DiskTree(Path(sys.argv[1]))
seconds, peak = time.perf_counter() - now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"files": len(tree), "seconds": seconds, "peak_bytes": 1024 * (peak - before)}))
"""
START = """
import json, resource, sys, time
import isthmus as it
import torch
torch.set_num_threads(1)
it.fit("simple", "digits", options={"training.steps": 1})
before, now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
it.fit("simple", sys.argv[1], options={"training.steps": 1, "data.memory": sys.argv[2]})
seconds, peak = time.perf_counter() - now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "peak_bytes": 1024 * (peak - before)}))
"""


def write_small(folder: Path, count: int) -> None:
    """Gray PNG files of 28 x 28 pixels, a bright spot each, in sub-folders of 10,000."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:28, :28]
    for number in range(count):
        path = folder / str(number // 10_000) / f"{number}.png"
        if number % 10_000 == 0:
            path.parent.mkdir(parents=True)
        left, top, width = rng.uniform(5, 23), rng.uniform(5, 23), rng.uniform(10, 60)
        spot = 255 * np.exp(-((x - left) ** 2 + (y - top) ** 2) / width)
        Image.fromarray(spot.astype(np.uint8)).save(path)


def write_photos(folder: Path, count: int) -> None:
    """Colored JPEG files of 256 x 256 pixels, smooth with some noise."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((256, 256), Image.Resampling.BICUBIC)) + rng.normal(
            scale=8, size=(256, 256, 3)
        )
        Image.fromarray(smooth.clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def write_names(folder: Path, count: int) -> None:
    """Empty files."""
    folder.mkdir()
    for number in range(count):
        (folder / f"image_{number}.png").touch()


def timed(work: Callable[[], None]) -> tuple[float, float]:
    """Wall time and processor time, in seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def rates(folder: Path, most: int, turns: int) -> dict[str, object]:
    """Rate of the source beside that of the decoder alone, over the first pictures of a folder."""
    from isthmus.data.opening import open_data
    from isthmus.data.samplers.stored import READ
    from isthmus.data.sources.base import row_bytes
    from isthmus.options import DataOptions

    source = open_data(folder, DataOptions(memory="stream")).train
    count = min(most, len(source))
    paths = [folder / name for name in source.names_of(np.arange(count)).tolist()]
    step = max(1, READ // row_bytes(source))

    def decoder() -> None:
        for path in paths:
            with open(path, "rb") as file:  # noqa: PTH123
                np.asarray(Image.open(file))

    def ours() -> None:
        for start in range(0, count, step):
            source.read(start, min(start + step, count))

    decoder(), ours()
    pairs = [(timed(decoder), timed(ours)) for _ in range(turns)]
    wall, processor = ([theirs[i] / own[i] for theirs, own in pairs] for i in (0, 1))
    return {
        "pictures": count,
        "shape": list(source.shape),
        "decoder_per_second": count / statistics.median(theirs[0] for theirs, _ in pairs),
        "per_second": count / statistics.median(own[0] for _, own in pairs),
        "ratios_wall": wall,
        "ratios_processor": processor,
        "ratio_wall": statistics.median(wall),
        "ratio_processor": statistics.median(processor),
    }


def in_process(code: str, *arguments: str) -> dict[str, float]:
    """The answer of a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    answer: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


def main() -> None:
    """Write the files, measure, print and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--names", type=int, default=0)
    parser.add_argument("--most", type=int, default=20_000, help="pictures per turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--try", action="store_true", dest="only_print", help="do not write the result")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        small, photos, names = (Path(place, name) for name in ("small", "photos", "names"))
        write_small(small, chosen.pictures)
        write_photos(photos, chosen.photos)
        found: dict[str, object] = {
            "small": rates(small, chosen.most, chosen.turns),
            "photos": rates(photos, chosen.most, chosen.turns),
            "scan": in_process(SCAN, str(small)),
            "start_streamed": in_process(START, str(small), "stream"),
            "start_in_memory": in_process(START, str(small), "whole"),
        }
        if chosen.names:
            write_names(names, chosen.names)
            found["scan_of_names"] = in_process(SCAN, str(names))
    print(json.dumps(found, indent=1))
    if not chosen.only_print:
        from isthmus.models.hardware import describe

        content = {"date": str(date.today()), "machine": describe(), "arguments": vars(chosen), **found}
        RESULT.write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
