"""JPEG and PNG decoded in the graph, against Pillow and against pixels that are fed."""

import io

import numpy as np
import pytest
from models import build, run
from pictures import encoded, picture

from edgeonnx.pipeline.graph import entries, join, preprocessing
from edgeonnx.pipeline.spec import PipelineSpec
from edgeonnx.runtime._inputs import check_encoded
from edgeonnx.runtime._manifest import Media

pytest.importorskip("onnxruntime_extensions")
image_module = pytest.importorskip("PIL.Image")

y, x = np.mgrid[0:97, 0:131] / 97
WAVES = np.stack([np.sin(9 * x * (1 + y)), np.cos(23 * x * y), np.sin(12 * (x - y))], -1)
PHOTO = np.round(128 + 100 * WAVES).astype(np.uint8)


def spec(**image):
    return PipelineSpec.parse({"input": {"image": {"decode": True, **image}}}, "spec")


def model(channels=3):
    shape = f"float[1,{channels},H,W]"
    return build(f"({shape} image) => ({shape} y) {{ y = Identity(image) }}", opset=18)


def decoded(data, color):
    """What the model gets of a file, height x width x channels."""
    channels = 1 if color == "grey" else 3
    feeds = {"image": check_encoded(data, "data")}
    return run(preprocessing(model(channels), spec(color=color)), feeds)["image.prepared"][0].transpose(1, 2, 0)


def by_pillow(data, color):
    with image_module.open(io.BytesIO(data)) as opened:
        pixels = np.asarray(opened.convert("L" if color == "grey" else "RGB"), np.float32)
    return {"grey": pixels.reshape(*pixels.shape[:2], -1), "rgb": pixels, "bgr": pixels[..., ::-1]}[color]


@pytest.mark.parametrize("color", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_is_pillows_to_the_pixel(mode, color):
    buffer = io.BytesIO()
    image_module.fromarray(picture(13, 7)).convert(mode).save(buffer, "PNG")
    expected = by_pillow(buffer.getvalue(), "rgb" if mode == "P" else color)
    if mode == "P":  # Pillow has the luma of the palette rounded; here it is of the colours
        grey = np.asarray(image_module.fromarray(expected.astype(np.uint8)).convert("L"), np.float32)[..., None]
        expected = {"grey": grey, "rgb": expected, "bgr": expected[..., ::-1]}[color]
    np.testing.assert_array_equal(decoded(buffer.getvalue(), color), expected)


@pytest.mark.parametrize("color", ["grey", "rgb", "bgr"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_of_full_chroma_is_pillows(channels, progressive, color):
    data = encoded(PHOTO[..., :channels], "JPEG", subsampling=0, progressive=progressive)
    assert np.abs(decoded(data, color) - by_pillow(data, color)).max() <= 1


@pytest.mark.parametrize("subsampling", [1, 2])
def test_jpeg_of_halved_chroma_differs_where_colours_change(subsampling):
    """Decoders are free in how they enlarge chroma: the operator's library does it otherwise than Pillow's."""
    data = encoded(PHOTO, "JPEG", subsampling=subsampling, quality=90)
    np.testing.assert_array_equal(decoded(data, "grey"), by_pillow(data, "grey"))
    difference = np.abs(decoded(data, "rgb") - by_pillow(data, "rgb"))
    assert difference.max() <= 20
    assert difference.mean() <= 1.5


def test_bytes_give_what_their_pixels_give():
    steps = {"resize": {"short_side": 40}, "center_crop": 32, "normalize": {"scale": 255}, "color": "grey"}
    pixels = PHOTO[..., :1]
    joined = join(model(1), spec(**steps))
    got = run(joined, {"image": check_encoded(encoded(pixels, "PNG"), "data")})["y"]
    np.testing.assert_array_equal(got, run(join(model(1), spec(decode=False, **steps)), {"image": pixels})["y"])


def test_the_joined_model_takes_bytes():
    (entry,) = entries(model(), spec(color="bgr"))
    assert str(entry.spec) == "image: uint8[image_bytes]"
    assert entry.media == Media("image", "bgr", encoded=True)
    assert join(model(), spec()).inputs == (entry.spec,)
    assert join(model(), spec()).ir.opset_imports["com.microsoft.extensions"] == 1
