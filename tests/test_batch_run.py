"""`attar.batch`: what it extracts, what it keeps, and what it says."""

import hashlib
import json
import subprocess
import sys

import fsspec
import numpy as np
import pytest
import simplejpeg
import zarr
from PIL import Image
from pyarrow import parquet

import attar
from attar import batch, nn, read_image
from attar.batch.outputs import file_name
from attar.batch.store import FolderStore
from attar.errors import ArgumentError, ModelError, ShapeError
from attar.images import decode_image, resize_image
from tests.batches import kept, pictures


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return pictures(tmp_path_factory.mktemp("source") / "in", count=10)


def rows_of(output):
    return {row["path"]: row for row in parquet.read_table(output).to_pylist()}


def test_features_are_those_of_extract(source, tmp_path):
    options = {"kernel": "bottom_sobel", "pool_size": 3, "bias": 0.25}
    batch.run(source, tmp_path, workers=2, **options)
    rows = rows_of(tmp_path)
    assert [*rows] == sorted(path.name for path in source.iterdir())
    for path in source.iterdir():
        row = rows[path.name]
        gray = read_image(path, color="gray")
        expected = attar.extract(gray, **options).condense
        found = np.array(row["features"], np.float32).reshape(row["shape"])[:, :, 0]
        np.testing.assert_array_equal(found, expected)
        assert row["content_hash"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["image_shape"] == [24, 32]
        assert row["error"] is None


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_luma_is_that_of_read_image(tmp_path, suffix):
    source = pictures(tmp_path / "in", count=2, suffix=suffix)
    batch.run(source, tmp_path / "out", color="luma", workers=1)
    for name, row in rows_of(tmp_path / "out").items():
        image = read_image(source / name, color="luma")
        expected = attar.extract(image, "edge", stages=False).condense.ravel()
        np.testing.assert_array_equal(np.array(row["features"], np.float32), expected)


@pytest.mark.parametrize(
    ("reduce", "definition"),
    [
        ("gap", lambda map: map.astype(np.float64).mean(axis=(0, 1))),
        ("gmp", lambda map: map.max(axis=(0, 1))),
        ("spp", lambda map: nn.spatial_pyramid_pool(map[None], (1, 2, 4))[0]),
    ],
)
def test_reduced(source, tmp_path, reduce, definition):
    kernel = np.random.default_rng(0).standard_normal((3, 3, 3, 5))
    batch.run(source, tmp_path, kernel=kernel, color="rgb", reduce=reduce, workers=1)
    for name, row in rows_of(tmp_path).items():
        image = read_image(source / name, color="rgb")
        expected = definition(attar.extract(image, kernel, stages=False).condense)
        np.testing.assert_allclose(row["features"], expected, rtol=1e-5, atol=1e-6)


def test_a_layer_of_a_model(source, tmp_path):
    model = attar.Sequential(
        [
            attar.layers.Input((16, 20, 3)),
            attar.layers.Conv2D(4, 3, activation="relu", name="filter"),
            attar.layers.MaxPool2D(name="condense"),
            attar.layers.Flatten(),
            attar.layers.Dense(3, name="scores"),
        ]
    )
    file = tmp_path / "model.safetensors"
    model.save(file)
    options = {"model": file, "layer": "condense", "workers": 1}
    batch.run(source, tmp_path / "maps", **options)
    opened = attar.open_model(file)
    for name, row in rows_of(tmp_path / "maps").items():
        image = read_image(source / name, color="rgb")[None]
        expected = opened.run(image, watch="condense")["condense"][0]
        np.testing.assert_array_equal(np.reshape(row["features"], row["shape"]), expected)
    with pytest.raises(ArgumentError, match="there is no layer 'nope' to watch"):
        batch.run(source, tmp_path / "x", model=file, layer="nope")
    with pytest.raises(ShapeError, match="reduce is 'gap', and what the layer answers is no map"):
        batch.run(source, tmp_path / "x", model=file, layer="scores", reduce="gap")
    with pytest.raises(ModelError, match="there is no model at"):
        batch.run(source, tmp_path / "x", model=tmp_path / "gone.onnx", layer="x")
    assert not (tmp_path / "x").exists()


def test_smaller_images(tmp_path):
    rng = np.random.default_rng(0)
    few = Image.fromarray(rng.integers(0, 256, (9, 12, 3), np.uint8))
    pixels = np.asarray(few.resize((640, 480), Image.Resampling.BICUBIC))
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.jpg").write_bytes(simplejpeg.encode_jpeg(pixels, quality=95))
    batch.run(tmp_path / "in", tmp_path / "out", kernel=[[1.0]], size=(30, 40), pool="none")
    [row] = rows_of(tmp_path / "out").values()
    assert row["image_shape"] == [30, 40]
    found = np.reshape(row["features"], (30, 40))
    data = (tmp_path / "in" / "1.jpg").read_bytes()
    smaller = resize_image(decode_image(data, color="gray", at_least=(30, 40)), 30, 40)
    np.testing.assert_array_equal(found, smaller)
    whole = resize_image(decode_image(data, color="gray"), 30, 40)
    np.testing.assert_allclose(found, whole, atol=0.03)
    assert (found != whole).any()


def test_every_format_holds_the_same(source, tmp_path):
    options = {"size": (16, 24), "kernel": "emboss", "shard_images": 4, "workers": 2}
    for format in ("parquet", "npy", "zarr"):
        batch.run(source, tmp_path / format, format=format, **options)
    whole = rows_of(tmp_path / "parquet")
    files = rows_of(tmp_path / "npy" / "index")
    places = rows_of(tmp_path / "zarr" / "index")
    array = zarr.open_group(tmp_path / "zarr", mode="r")["features"]
    assert array.shape == (10, 8, 12, 1)
    for name, row in whole.items():
        expected = np.array(row["features"], np.float32).reshape(row["shape"])
        assert files[name]["file"] == f"features/{name}.npy"
        np.testing.assert_array_equal(np.load(tmp_path / "npy" / files[name]["file"]), expected)
        np.testing.assert_array_equal(array[places[name]["index"]], expected)
        assert files[name]["shape"] == places[name]["shape"] == row["shape"]
    with pytest.raises(ArgumentError, match="whose features must have one shape: state a size"):
        batch.run(source, tmp_path / "x.zarr")


def test_a_zarr_array_grows_and_keeps_a_row_for_what_failed(tmp_path):
    source = pictures(tmp_path / "in", count=5)
    (source / "001.png").write_bytes(b"not a picture")
    options = {"size": 16, "shard_images": 2, "workers": 1}
    batch.run(source, tmp_path / "x.zarr", **options)
    pictures(source, count=8)
    (source / "001.png").write_bytes(b"not a picture")
    batch.run(source, tmp_path / "x.zarr", update=True, **options)
    array = zarr.open_group(tmp_path / "x.zarr", mode="r")["features"][...]
    rows = rows_of(tmp_path / "x.zarr" / "index")
    assert len(array) == len(rows) == 8
    assert rows["001.png"]["index"] is None
    assert np.isnan(array[1]).all()
    assert np.isfinite(array[[0, *range(2, 8)]]).all()


def test_bad_images_are_rows(tmp_path, shell):
    source = pictures(tmp_path / "in", count=4)
    (source / "001.png").write_bytes(b"")
    (source / "002.png").write_bytes((source / "002.png").read_bytes()[:90])
    (source / "tiny.png").write_bytes((source / "003.png").read_bytes())
    status, out, err = shell(
        "batch", str(source), str(tmp_path / "out"), "--max-pixels", "768", "--conv-padding",
        "valid", "--reduce", "gap", "--workers", "1", "--json",
    )  # fmt: skip
    assert status == 3
    report = json.loads(out)
    assert (report["images_done"], report["failed"], report["finished"]) == (5, 2, True)
    assert "attar: 001.png: the file is empty" in err
    rows = rows_of(tmp_path / "out")
    assert rows["001.png"]["features"] is None
    assert rows["001.png"]["error"] == "the file is empty"
    assert "damaged" in rows["002.png"]["error"]
    assert rows["002.png"]["content_hash"] is not None
    assert rows["tiny.png"]["error"] is None


def test_running_again_does_nothing(source, tmp_path):
    first = batch.run(source, tmp_path, reduce="gap", workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}
    again = batch.run(source, tmp_path, reduce="gap", workers=1)
    assert (first.images_now, again.images_now) == (10, 0)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.parquet")}


def test_another_configuration_is_refused(source, tmp_path, shell):
    batch.run(source, tmp_path, reduce="gap", workers=1)
    there = kept(tmp_path)
    told = r"differs in kernel \('edge' there, 'blur' now\), reduce \('gap' there, 'spp' now\)"
    with pytest.raises(ArgumentError, match=told):
        batch.run(source, tmp_path, kernel="blur", reduce="spp")
    assert shell("batch", str(source), str(tmp_path), "--pool-size", "3")[0] == 2
    assert kept(tmp_path) == there
    batch.run(source, tmp_path, kernel="blur", fresh=True, workers=1)
    assert kept(tmp_path) != there


def test_a_source_that_grows_changes_and_shrinks(tmp_path):
    source, output = pictures(tmp_path / "in", count=7), tmp_path / "out"
    options = {"reduce": "gap", "shard_images": 2, "workers": 1}
    batch.run(source, output, **options)
    first = {*kept(output)}
    pictures(tmp_path / "more", count=9)
    for name in ("007.png", "008.png"):
        (tmp_path / "more" / name).rename(source / name)
    report = batch.run(source, output, **options)
    assert (report.added, report.images_now, report.images_done) == (2, 3, 9)
    assert len(first & {*kept(output)}) == 3  # whole shards stay as they are
    (source / "000.png").write_bytes((source / "001.png").read_bytes())
    (source / "008.png").unlink()
    told = r"1 changed \(000.png\) and 1 are gone \(008.png\) in the source since; say update"
    with pytest.raises(ArgumentError, match=told):
        batch.run(source, output, **options)
    batch.run(source, output, update=True, **options)
    rows = rows_of(output)
    assert [*rows] == [f"00{i}.png" for i in range(8)]
    assert rows["000.png"]["features"] == rows["001.png"]["features"]
    batch.run(source, tmp_path / "anew", **options)
    assert kept(output) == kept(tmp_path / "anew")


def test_what_failed_is_tried_again(tmp_path):
    source, output = tmp_path / "list.txt", tmp_path / "out"
    source.write_text("in/000.png\nin/001.png\n")
    assert batch.run(source, output, reduce="gap", workers=1).failed == 2
    pictures(tmp_path / "in", count=2)
    assert batch.run(source, output, reduce="gap", workers=1, update=True).failed == 0
    assert batch.run(source, output, reduce="gap", workers=1, retry=True).images_now == 0


def test_one_run_at_a_time(source, tmp_path):
    store = FolderStore(tmp_path)
    with store.lock(), pytest.raises(ArgumentError, match=r"another run is at work .*process \d+"):
        batch.run(source, tmp_path)
    assert batch.run(source, tmp_path, reduce="gap", workers=1).finished


def test_folders_of_others_are_left_alone(source, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(ArgumentError, match=r"holds other things \(thesis.tex\); name"):
        batch.run(source, tmp_path, fresh=True)
    assert (tmp_path / "thesis.tex").read_text() == "precious"
    with pytest.raises(ArgumentError, match="the output has to be a folder"):
        batch.run(source, tmp_path / "thesis.tex")


def test_names_that_come_twice_are_refused(source, tmp_path):
    with pytest.raises(ArgumentError, match=r"10 names come more than once .*in/000.png"):
        batch.run([source, source], tmp_path)


def test_from_memory_to_memory(source):
    system = fsspec.filesystem("memory")
    system.put(f"{source}/", "/pictures/", recursive=True)
    try:
        report = batch.run("memory://pictures", "memory://features", reduce="gap")
        assert report.finished
        assert report.failures() == []
        assert batch.status("memory://features").images_done == 10
        assert batch.run("memory://pictures", "memory://features", reduce="gap").images_now == 0
    finally:
        system.rm("/", recursive=True)


def test_status(source, tmp_path, shell):
    batch.run(source, tmp_path / "out", reduce="gap", workers=1, shard_images=4)
    status, out, _ = shell("batch", "--status", str(tmp_path / "out"))
    assert status == 0
    assert "10 of 10 images in 3 of 3 shards" in out
    next((tmp_path / "out" / "_attar" / "done").iterdir()).unlink()
    _, out, _ = shell("batch", "--status", str(tmp_path / "out"))
    assert "left: the same command goes on" in out
    status, _, err = shell("batch", "--status", str(tmp_path))
    assert (status, "there is no output of a batch" in err) == (2, True)


THREADS = """
import os, sys
from attar import batch
count = lambda: len(os.listdir("/proc/self/task"))
import pyarrow
before = count()
for _ in range(2):
    report = batch.run(*sys.argv[1:], workers=1, reduce="gap")
    [failure] = report.failures()
assert batch.status(sys.argv[2]).failed == 1
print(count() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_no_thread_is_left_that_could_begin_while_the_process_ends(tmp_path):
    source = pictures(tmp_path / "in", count=3)
    (source / "bad.png").write_bytes(b"no picture")
    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(source), str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("0\n", 0), done.stderr


def test_progress_adds_up(source, tmp_path):
    told = []
    batch.run(source, tmp_path, reduce="gap", workers=2, shard_images=3, progress=told.append)
    last = told[-1]
    assert (last.images, last.total, last.failed, last.images_now) == (10, 10, 0, 10)
    assert last.bytes_now == sum(path.stat().st_size for path in source.iterdir())
    assert [each.images for each in told] == sorted(each.images for each in told)


def test_whoever_looks_on_may_end_a_run(source, tmp_path):
    def enough(progress):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        batch.run(source, tmp_path, progress=enough, workers=1)
    assert batch.run(source, tmp_path, workers=1).images_done == 10


def test_process_shard_depends_on_its_arguments_alone(source):
    config = batch.BatchConfig(batch.ThreeSteps.of("edge"), reduce="gap")
    rows = [*batch.list_rows(source)]
    table = batch.process_shard(rows, config)
    assert table.equals(batch.process_shard(rows, config))
    assert table.column_names == [
        "path", "content_hash", "image_shape", "shape", "features", "error",
    ]  # fmt: skip
    assert batch.process_shard([], config).num_rows == 0


def test_features_that_no_cell_of_a_table_takes(source, monkeypatch):
    monkeypatch.setattr("attar.batch.extractor.MOST_IN_A_CELL", 12 * 16 - 1)
    rows = [*batch.list_rows(source)]
    table = batch.process_shard(rows, batch.BatchConfig(batch.ThreeSteps.of("edge")))
    assert {*table["error"].to_pylist()} == {
        "its features are 192 numbers, and a table takes up to 191; keep them as npy (--format), "
        "or reduce them"
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, "workers is 0; accepted are numbers of at least 1"),
        ({"image_seconds": 0}, "image_seconds is 0; accepted are numbers above 0"),
        ({"engine": "dask"}, "engine is 'dask'; accepted are local, ray"),
        ({"reduce": "sum"}, "reduce is 'sum'; accepted are none, gap, gmp, spp"),
        ({"format": "csv"}, "format is 'csv'; accepted are parquet, zarr, npy"),
        ({"shard_images": 0}, "shard_images is 0; accepted are whole numbers from 1"),
        ({"size": (0, 3)}, "size is 0; accepted are whole numbers from 1"),
        ({"layer": "x"}, "layer is for a model, and none is named"),
        ({"model": "x.onnx"}, "model needs the name of a layer"),
        ({"model": "x", "layer": "y", "kernel": "edge"}, "kernel and model exclude each other"),
        ({"kernel": np.zeros((3, 3, 3, 2))}, r"is for 3 channel\(s\), and color 'gray' has 1"),
        ({"pool": "sum"}, "pool is 'sum'"),
    ],
)
def test_what_is_asked_wrongly(source, tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        batch.run(source, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pool", "max", "--model", "x.onnx", "--layer", "y"), "--pool is for a kernel"),
        (("--mean", "1,2,3"), "--mean is for a model"),
        (("--conv-stride", "x"), "--conv-stride is 'x'"),
    ],
)
def test_options_that_do_not_fit(source, tmp_path, shell, arguments, message):
    status, _, err = shell("batch", str(source), str(tmp_path / "out"), *arguments)
    assert (status, message in err) == (2, True), err
    assert shell("batch", str(source))[0] == 2


def test_names_of_files_are_safe_and_their_own():
    names = [
        "a/1.jpg", "../../etc/passwd", "/etc/passwd", "s3://b/1.jpg", "a\\b", "a~1", "x.npy/1",
        "x", "é" * 300, "con:1", "\udce9", "", ".", "a//b",
    ]  # fmt: skip
    made = [file_name(name, i) for i, name in enumerate(names)]
    assert made[0] == "a/1.jpg.npy"
    assert len({*made}) == len(names)
    for name in made:
        parts = name.split("/")
        assert name.endswith(".npy")
        assert not {"", ".", ".."} & {*parts}
        assert max(len(part.encode()) for part in parts) <= 255
