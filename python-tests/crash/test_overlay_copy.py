"""Copy on write: whatever a crash leaves, the rest of a copied cluster is the base's."""

from qed import Image
from qed.crash import DEFAULT, View
from qed.crash.testing import Crash

CLUSTER = 65536


def the_rest_is_the_bases(image: Image, view: View) -> None:
    """Assert that only the written range may differ, and that it does so as a whole sector does."""
    found = image.pread(2 * CLUSTER, 0)
    assert found[:4096] == b"\x01" * 4096
    assert found[8192:] == b"\x01" * (2 * CLUSTER - 8192)
    assert view.allows(0, found)


def test_a_partial_write_into_a_new_cluster_of_an_overlay(crash: Crash) -> None:
    crash.path("base.raw").write_bytes(b"\x01" * 2 * CLUSTER)
    with crash.record("overlay.qed", backing="base.raw", backing_format="raw") as rec:
        rec.image.pwrite(b"B" * 4096, 4096)
    result = crash.check(rec, the_rest_is_the_bases, *DEFAULT)
    assert {"prefix", "reorder", "torn"} <= result.stats.modes.keys()


def test_stable_zeroes_over_a_backing_file_stay_zeroes(crash: Crash) -> None:
    crash.path("base.raw").write_bytes(b"\x01" * 2 * CLUSTER)
    with crash.record("overlay.qed", backing="base.raw", backing_format="raw") as rec:
        rec.image.write_zeroes(0, CLUSTER)
        rec.image.flush()
        rec.image.pwrite(b"C" * 4096, 4096)
    crash.check(rec)
