"""Files are written whole or not at all."""

import hashlib
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeonnx.errors import OutputError
from edgeonnx.files import check_writable, replacing, sha256


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@given(content=st.one_of(st.binary(), st.just(b"x" * ((1 << 20) + 1))))
def test_sha256(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "hashed"
    path.write_bytes(content)
    assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_block_that_ends_well_replaces_the_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path  # a rename within one file system cannot stop half-way
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_nothing_behind(tmp_path, existed, error):
    path = tmp_path / "file"
    if existed:
        path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == (["file"] if existed else [])
    assert not existed or path.read_text() == "old"


def test_a_full_disk_is_an_output_error(tmp_path):
    def fill():
        with replacing(tmp_path / "file"):
            raise OSError(28, os.strerror(28))

    with pytest.raises(OutputError, match="file can't be written: No space left on device"):
        fill()
    assert names(tmp_path) == []


def test_the_file_gets_the_users_mode(tmp_path):
    before = os.umask(0o027)
    try:
        with replacing(tmp_path / "file") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_name_too_long(tmp_path):
    with pytest.raises(OutputError, match="can't be written: File name too long"), replacing(tmp_path / ("x" * 300)):
        pass


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="is a folder; name the file to write"):
        check_writable(tmp_path)
    with pytest.raises(OutputError, match="no does not exist; create it, or write elsewhere with -o"):
        check_writable(tmp_path / "no" / "file")
    check_writable(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="is not writable"):
            check_writable(tmp_path / "file")
    finally:
        tmp_path.chmod(0o700)
