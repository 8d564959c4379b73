"""Where a batch writes: the same from a folder and from an address."""

import contextlib

import fsspec
import pytest

from attar.batch.store import FolderStore, FsspecStore, open_store


@pytest.fixture(params=["folder", "address"])
def store(request, tmp_path):
    if request.param == "folder":
        yield open_store(tmp_path / "made" / "out")
        return
    yield open_store("memory://store/out")
    fsspec.filesystem("memory").rm("/store", recursive=True)


def put(store, name, data):
    with store.write(name) as file:
        file.write(data)


def test_files(store):
    assert isinstance(store, FolderStore | FsspecStore)
    assert store.names("done") == store.entries() == []
    for number in (2, 1):
        put(store, f"done/{number}", b"%d" % number)
    put(store, "plan", b"first")
    put(store, "plan", b"second")
    assert store.read("plan") == b"second"
    assert store.names("done") == ["1", "2"]
    assert store.entries() == ["done", "plan"]
    assert store.read_all([]) == []
    assert store.read_all(["done/2", "done/3", "plan"]) == [b"2", None, b"second"]
    with pytest.raises(FileNotFoundError):
        store.read("done/3")
    store.rename("plan", "done/plan")
    assert (store.names("done"), store.entries()) == (["1", "2", "plan"], ["done"])
    store.remove("done/1")
    store.remove("done/1")
    assert store.names("done") == ["2", "plan"]
    store.remove("done")
    assert store.names("done") == []


def test_what_fails_leaves_what_was_there(store):
    put(store, "a/plan", b"first")
    with contextlib.suppress(RuntimeError), store.write("a/plan") as file:
        file.write(b"half")
        raise RuntimeError
    store.remove_unfinished()
    assert (store.names("a"), store.read("a/plan")) == (["plan"], b"first")


def test_an_error_that_is_no_absence(monkeypatch):
    store = open_store("memory://store/out")
    put(store, "1", b"1")

    def unreachable(path, **_):
        raise PermissionError(path)

    monkeypatch.setattr(store._system, "cat_file", unreachable)
    with pytest.raises(PermissionError):
        store.read_all(["1", "2"])
