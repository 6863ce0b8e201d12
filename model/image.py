"""From a picture file to the square of pixels that the vision encoder takes."""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def open_image(path: Path) -> Image.Image:
    """The decoded picture, turned upright as its EXIF data says.

    Raises ValueError where the file is missing, is no picture, is cut, or holds more than
    `PIL.Image.MAX_IMAGE_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return ImageOps.exif_transpose(image)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise ValueError(
            f"{path} holds more than the {Image.MAX_IMAGE_PIXELS} pixels that are decoded; make it smaller"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error


def fit(image: Image.Image, size: int, mean: tuple[float, float, float]) -> NDArray[np.uint8]:
    """uint8[3, size, size]: the whole picture, aspect kept, in the middle of a square of the mean colour.

    The paper's section on data: images are padded with the mean. mean is red, green and blue in 0..1; it also
    shows through where the picture is transparent.
    """
    transparent = image.has_transparency_data
    fitted = ImageOps.contain(image.convert("RGBA" if transparent else "RGB"), (size, size), Image.Resampling.BICUBIC)
    square = Image.new("RGB", (size, size), tuple(round(255 * channel) for channel in mean))
    corner = ((size - fitted.width) // 2, (size - fitted.height) // 2)
    square.paste(fitted, corner, mask=fitted if transparent else None)
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
