"""The page examples/web, in headless Chromium."""

import json
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import edgeonnx
from tests.house.tree import ROOT
from tests.platforms import chromium
from tests.platforms.report import RESULTS, Platform, from_json

WEB = ROOT / "examples" / "web"
RESULT = "document.querySelector('#result')"
pytestmark = pytest.mark.slow


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder; nothing is said of them."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site(shared_bundle, large_bundle, tmp_path_factory):
    """Address of the page, with bundles beside it."""
    if not (WEB / "node_modules" / "onnxruntime-web").exists():
        pytest.skip("no onnxruntime-web; run: make web")
    folder = tmp_path_factory.mktemp("site")
    for path in WEB.iterdir():
        (folder / path.name).symlink_to(path)
    shutil.copy(shared_bundle, folder / "model.edge")
    shutil.copy(large_bundle, folder / "large.edge")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    program = chromium.find()
    if program is None:
        pytest.skip("no chromium; run: apt-get install chromium")
    with chromium.page(program, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def visit(site, page):
    """`visit(query)` opens the page and gives the text that it ends with."""

    def go(query: str = "") -> str:
        page.open(site + query)
        page.wait_for(f"{RESULT}.dataset.ready === ''")
        return page.value(f"{RESULT}.textContent")

    return go


def drop(page: chromium.Page, file: Path) -> str:
    """Drops a file on the page, and gives what it then shows."""
    page.value(f"{RESULT}.textContent = ''")
    page.drop(file, 200, 150)
    page.wait_for(f"{RESULT}.textContent")
    return page.value(f"{RESULT}.textContent")


def test_golden_samples(visit, record):
    report = json.loads(visit("?selftest"))
    release = f"{report['onnxruntime']}, npm's onnxruntime-web (wasm)"
    record(Platform("web", "Chromium, WebAssembly", release, "browser", from_json(report["variants"])))
    assert all(each["shortest_ms"] > 0 for each in report["variants"])


def test_a_dropped_picture_gets_its_label(visit, page, shirt_png):
    assert visit() == ""
    told = drop(page, shirt_png)
    RESULTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(RESULTS / "web.png")
    assert told.splitlines()[0].startswith("Shirt ")
    assert len(told.splitlines()) == 3


def test_the_page_says_what_the_device_says(visit, page, examples, shared_bundle, shirt_png):
    """Pixels, class names and scores, to the two digits that are shown."""
    import edgeonnx.runtime as er

    for variant in ("int8", "float32"):
        visit(f"?variant={variant}")
        with er.load(shared_bundle, variant=variant) as model:
            expected = [f"{guess.label} {guess.score:.2f}" for guess in model(shirt_png).top]
        assert drop(page, shirt_png).splitlines() == expected


def test_a_dropped_bundle_takes_the_place_of_the_first(visit, page, examples, fashion_int8, shirt_png, tmp_path):
    """One that is packaged for the web."""
    made = edgeonnx.package(
        fashion_int8,
        "web",
        tmp_path / "other.edge",
        pipeline=examples / "pipeline.toml",
        labels=examples / "labels.txt",
        data=examples / "test.npz",
    )
    visit()
    page.drop(made.path, 200, 150)
    page.wait_for("document.querySelector('#name').textContent === 'other 1'")
    assert drop(page, shirt_png).startswith("Shirt ")


def test_weights_outside_the_model(visit):
    assert [each["ok"] for each in json.loads(visit("?bundle=large.edge&selftest"))["variants"]] == [True]


def test_what_is_wrong_stands_on_the_page(visit, page, tmp_path):
    assert visit("?bundle=none.edge").startswith("none.edge: 404")
    visit()
    broken = tmp_path / "broken.edge"
    broken.write_bytes(bytes(100))
    assert drop(page, broken) == "not a bundle, or cut short"
