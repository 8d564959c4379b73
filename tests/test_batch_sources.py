"""What a data set is made of, and that the bytes of every row are those that were put in."""

import io
import tarfile
import threading
import time
import tracemalloc
import zipfile

import fsspec
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from attar.batch import reading
from attar.batch.reading import Reader, fetched
from attar.batch.rows import Row
from attar.batch.sources import expand_braces, list_rows
from attar.errors import ArgumentError, ImageError, ImageNotFoundError

CONTENTS = {f"{name}.jpg": f"bytes of {name}".encode() * 9 for name in ("a", "b", "d/c", "d/é e")}


def write_folder(folder, contents=CONTENTS):
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_tar(path, contents=CONTENTS, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
            archive.addfile(tarfile.TarInfo(name.replace(".jpg", ".cls")))
    return path


def write_zip(path, contents=CONTENTS):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.mkdir("d")
        for name, data in contents.items():
            archive.writestr(name, data)
        archive.writestr("notes.txt", "no picture")
    return path


def write_table(path, contents=CONTENTS, struct=False):
    values = list(contents.values())
    column = [{"bytes": data, "path": "x.jpg"} for data in values] if struct else values
    kind = None if struct else pa.binary()
    table = pa.table({"label": pa.array(range(len(values))), "image": pa.array(column, kind)})
    parquet.write_table(table, path, row_group_size=3)
    return path


def read_all(source, **options):
    with Reader() as reader:
        return {row.path: reader.read(row) for row in list_rows(source, **options)}


def test_a_folder_is_sorted_and_leaves_out_what_is_none_of_it(tmp_path):
    write_folder(tmp_path)
    for name in (".hidden.jpg", ".git/x.jpg", "a-attar.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"no")
    assert read_all(tmp_path) == CONTENTS
    assert [row.path for row in list_rows(tmp_path)] == sorted(CONTENTS)


def test_links_that_lead_back_end(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "d" / "back").symlink_to(tmp_path)
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        [*list_rows(tmp_path)]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(tmp_path, mode):
    suffix = mode.partition(":")[2]
    path = write_tar(tmp_path / f"x.tar{'.' * bool(suffix)}{suffix}", mode=mode)
    found = read_all(path)
    assert found == {f"{path.name}/{name}": data for name, data in CONTENTS.items()}
    # Backwards, as workers may be asked for shards in any order.
    rows = [*list_rows(path)]
    with Reader() as reader:
        assert [reader.read(row) for row in reversed(rows)] == [*reversed(CONTENTS.values())]


def test_zip_and_tables(tmp_path):
    path = write_zip(tmp_path / "x.zip")
    assert read_all(path) == {f"x.zip/{name}": data for name, data in CONTENTS.items()}
    for struct in (False, True):
        path = write_table(tmp_path / f"{struct}.parquet", struct=struct)
        found = read_all(path)
        assert [*found] == [f"{path.name}#{i}" for i in range(4)]
        assert [*found.values()] == [*CONTENTS.values()]


def test_lists(tmp_path):
    write_folder(tmp_path)
    names = [*reversed(CONTENTS)]
    (tmp_path / "list.txt").write_text("\n".join([*names, "", str(tmp_path / "a.jpg")]), "utf-8")
    (tmp_path / "list.csv").write_text(
        "label,file\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names)), "utf-8"
    )
    parquet.write_table(pa.table({"path": names}), tmp_path / "list.parquet")
    expected = {name: CONTENTS[name] for name in names}
    assert [*read_all(tmp_path / "list.csv").items()] == [*expected.items()]
    assert [*read_all(tmp_path / "list.parquet").items()] == [*expected.items()]
    assert read_all(tmp_path / "list.txt") == {
        **expected,
        str(tmp_path / "a.jpg"): CONTENTS["a.jpg"],
    }


def test_a_list_may_name_what_is_not_there(tmp_path):
    (tmp_path / "list.txt").write_text("gone.jpg\n")
    [row] = list_rows(tmp_path / "list.txt")
    with Reader() as reader, pytest.raises(ImageNotFoundError, match="there is no such file"):
        reader.read(row)


def test_globs_and_braces(tmp_path):
    write_folder(tmp_path)
    assert [*read_all(f"{tmp_path}/**/*.jpg")] == sorted(CONTENTS)
    assert [*read_all(f"{tmp_path}/{{b,a}}.jpg")] == ["b.jpg", "a.jpg"]
    write_tar(tmp_path / "train-001.tar")
    write_tar(tmp_path / "train-002.tar")
    found = read_all(f"{tmp_path}/train-{{001..002}}.tar")
    assert [*found] == [f"train-00{i}.tar/{name}" for i in (1, 2) for name in CONTENTS]
    with pytest.raises(ImageNotFoundError, match=r"there is no file .*train-003.tar \(of "):
        [*list_rows(f"{tmp_path}/train-{{001..003}}.tar")]
    assert [*expand_braces("{1..3}-{a,b}")] == ["1-a", "1-b", "2-a", "2-b", "3-a", "3-b"]


def test_a_folder_without_pictures_is_its_archives(tmp_path):
    write_tar(tmp_path / "1.tar")
    write_zip(tmp_path / "d.zip")
    names = [f"1.tar/{name}" for name in CONTENTS] + [f"d.zip/{name}" for name in CONTENTS]
    assert [*read_all(tmp_path)] == names


def test_several_sources(tmp_path):
    one, two = write_folder(tmp_path / "one"), write_folder(tmp_path / "two")
    assert [*read_all([one, two])] == [
        f"{folder}/{name}" for folder in ("one", "two") for name in sorted(CONTENTS)
    ]


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True)


def test_the_same_from_an_address(tmp_path, memory):
    write_folder(tmp_path / "in")
    writers = (write_tar, write_zip, write_table)
    for write, name in zip(writers, ("x.tar", "x.zip", "x.parquet"), strict=True):
        write(tmp_path / name)
    write_tar(tmp_path / "x.tar.gz", mode="w:gz")
    (tmp_path / "list.txt").write_text("in/a.jpg\nin/d/c.jpg\n")
    memory.put(f"{tmp_path}/", "/data/", recursive=True)
    for name in ("in", "x.tar", "x.zip", "x.parquet", "x.tar.gz", "list.txt", "in/*.jpg"):
        there = read_all(f"memory://data/{name}")
        assert there
        assert there == read_all(f"{tmp_path}/{name}")
    assert read_all(f"file://{tmp_path}/x.tar") == read_all(tmp_path / "x.tar")


class Distant(MemoryFileSystem):
    """Files that take their time, and count who waits for them."""

    protocol = "distant"
    waiting = most = 0
    counting = threading.Lock()

    def cat_file(self, path, start=None, end=None, **_):
        with Distant.counting:
            Distant.waiting += 1
            Distant.most = max(Distant.most, Distant.waiting)
        time.sleep(0.02)
        with Distant.counting:
            Distant.waiting -= 1
        if path.endswith("7.jpg"):
            raise OSError("lost on the way")
        return path.rsplit("/", 1)[-1].encode()


def test_what_is_far_away_is_fetched_ahead(tmp_path):
    fsspec.register_implementation("distant", Distant, clobber=True)
    (tmp_path / "here.jpg").write_bytes(b"here")
    here = Row("here.jpg", str(tmp_path / "here.jpg"), size=4)
    rows = [Row(f"{i}.jpg", f"distant://b/{i}.jpg", size=len(f"{i}.jpg")) for i in range(60)]
    rows.insert(5, here)
    found = []
    with Reader() as reader:
        for row, read in fetched(iter(rows), reader, skip={30}):
            try:
                found.append((row, read()))
            except OSError as error:
                found.append((row, str(error)))
            assert Distant.waiting <= 16
    assert [row for row, _ in found] == rows
    assert Distant.most > 4
    for row, data in found:
        lost = row.path.endswith("7.jpg")
        assert data == (
            "lost on the way" if lost else b"here" if row is here else row.path.encode()
        )


def test_little_is_held_of_what_is_fetched_ahead(monkeypatch):
    fsspec.register_implementation("distant", Distant, clobber=True)
    monkeypatch.setattr(reading, "_AHEAD_BYTES", 100)
    rows = [Row(f"{i}.jpg", f"distant://b/{i}.jpg", size=60) for i in range(7)]
    Distant.most = 0
    with Reader() as reader:
        for _, read in fetched(rows, reader):
            with pytest.raises(ImageError, match="it changed while the batch ran"):
                read()
    assert Distant.most == 1


def test_what_is_no_source(tmp_path):
    cases = [
        ("nowhere", ImageNotFoundError, "there is no file or folder"),
        ("empty", ImageNotFoundError, "there are no images in"),
        ("text.zip", ImageError, "is damaged, or no archive of its suffix"),
        ("text.tar", ImageError, "is damaged, or no archive of its suffix"),
        ("text.parquet", ImageError, "is damaged, or no Parquet file"),
        ("labels.parquet", ArgumentError, "has no column of images or paths .* of label"),
        ("two.parquet", ArgumentError, "several columns that may be images: image, png"),
    ]
    (tmp_path / "empty").mkdir()
    for suffix in ("zip", "tar", "parquet"):
        (tmp_path / f"text.{suffix}").write_text("no such thing " * 99)
    parquet.write_table(pa.table({"label": [1]}), tmp_path / "labels.parquet")
    both = pa.table({"image": [b"1"], "png": [b"2"]})
    parquet.write_table(both, tmp_path / "two.parquet")
    for name, kind, message in cases:
        with pytest.raises(kind, match=message):
            [*list_rows(tmp_path / name)]
    assert read_all(tmp_path / "two.parquet", column="png") == {"two.parquet#0": b"2"}
    with pytest.raises(ArgumentError, match=r"has no column 'x'; it has image, png"):
        [*list_rows(tmp_path / "two.parquet", column="x")]


def test_members_that_are_no_files_fail_as_rows(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind in (("link.jpg", tarfile.LNKTYPE), ("soft.jpg", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "../../etc/passwd"
            archive.addfile(info)
    rows = [*list_rows(path)]
    assert [row.path for row in rows] == ["x.tar/link.jpg", "x.tar/soft.jpg"]
    with Reader() as reader:
        for row in rows:
            with pytest.raises(ImageError, match="it is a link"):
                reader.read(row)


def test_what_changed_and_what_is_too_large(tmp_path):
    write_folder(tmp_path)
    row, *_ = list_rows(tmp_path)
    (tmp_path / row.path).write_bytes(b"another")
    with Reader() as reader, pytest.raises(ImageError, match="it changed while the batch ran: 7"):
        reader.read(row)
    bomb = write_zip(tmp_path / "x.zip", {"x.jpg": bytes(1 << 20)})
    [row] = list_rows(bomb)
    with Reader(max_bytes=1000) as reader:
        with pytest.raises(ImageError, match="it has 1048576 bytes; at most 1000 are read"):
            reader.read(row)
        with pytest.raises(ImageError, match="more than 1000 bytes"):
            reader.read(row._replace(size=-1))  # as an archive that lies


def test_an_archive_that_is_cut_short_fails_row_by_row(tmp_path):
    contents = {f"{i}.jpg": bytes([i]) * 9000 for i in range(9)}
    for path, mode in ((tmp_path / "x.tar.gz", "w:gz"), (tmp_path / "x.tar", "w")):
        write_tar(path, contents, mode)
        rows = [*list_rows(path)]
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with Reader() as reader:
            assert reader.read(rows[0]) == contents["0.jpg"]
            with pytest.raises(ImageError, match=r"damaged|changed"):
                reader.read(rows[-1])
            assert reader.read(rows[1]) == contents["1.jpg"]


def test_listing_takes_little_memory(tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{i}.jpg\n" for i in range(20_000)))
    rows = list_rows(tmp_path / "list.txt")
    next(rows)
    tracemalloc.start()
    assert sum(1 for _ in rows) == 19_999
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 500_000


unusual = st.characters(codec="utf-8", exclude_characters='/\\"', exclude_categories=("C", "Z"))
names = st.text(unusual, min_size=1, max_size=8)


@settings(max_examples=25, deadline=None)
@given(
    contents=st.dictionaries(
        st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=2000), min_size=1
    )
)
def test_any_tree_is_the_same_in_every_container(contents, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tree")
    contents = {
        "/".join(f"n{part}" for part in name.split("/")) + ".jpg": data
        for name, data in contents.items()
    }
    write_folder(folder / "tree", contents)
    assert read_all(folder / "tree") == contents
    for write, name in ((write_tar, "x.tar"), (write_zip, "x.zip")):
        found = read_all(write(folder / name, contents))
        assert found == {f"{name}/{path}": data for path, data in contents.items()}
    assert [*read_all(write_table(folder / "x.parquet", contents)).values()] == [*contents.values()]
