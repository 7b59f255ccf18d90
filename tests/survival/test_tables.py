"""Tables of responses and of spikes, images in IDX files: whatever they hold, values or one line."""

import gzip

from fwsim.fitting import gather, read_table
from fwsim.spiking import read_spikes
from fwsim.tasks import read_idx
from tests.survival.fuzzing import damaged, retyped

RESPONSES = "protocol,sweep,pulse,time_s,amplitude\n" + "".join(
    f"20 Hz,{sweep},{pulse},{0.05 * pulse:.2f},{1 + 0.1 * pulse + 0.01 * sweep:.3f}\n"
    for sweep in range(3)
    for pulse in range(5)
)
SPIKES = "unit,time_s,trial\n1,0.1,0\n2,0.2,0\n1,0.35,1\n"
IMAGES = b"\0\0\x08\x02\0\0\0\x02\0\0\0\x03abcdef"


def test_tables_of_responses(fuzz, tmp_path):
    file = tmp_path / "table.csv"

    def attempt(random, watch):
        file.write_bytes(retyped(random, RESPONSES))
        watch.call(lambda: gather(read_table([file])))

    file.write_text(RESPONSES)
    gather(read_table([file]))
    fuzz("tables of responses", attempt, 200, 20_000)


def test_tables_of_spikes(fuzz, tmp_path):
    file = tmp_path / "spikes.csv"

    def attempt(random, watch):
        file.write_bytes(retyped(random, SPIKES))
        watch.call(lambda: read_spikes(file))

    file.write_text(SPIKES)
    read_spikes(file)
    fuzz("tables of spikes", attempt, 300, 20_000)


def test_idx_files(fuzz, tmp_path):
    file, packed = tmp_path / "images", gzip.compress(IMAGES, mtime=0)

    def attempt(random, watch):
        content = damaged(random, packed if random.integers(2) else IMAGES)
        file.write_bytes(gzip.compress(damaged(random, IMAGES), 1) if random.integers(3) == 0 else content)
        watch.call(lambda: read_idx(file))

    file.write_bytes(IMAGES)
    assert read_idx(file).shape == (2, 3)
    fuzz("IDX and gzip files", attempt, 500, 30_000)
