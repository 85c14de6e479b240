"""`selector embed`."""

from functools import partial
from pathlib import Path

from selector.commands.arguments import Device, Quiet
from selector.errors import UserError
from selector.text import printable

_ENDINGS = (".npz", ".parquet")


def embed(
    encoder: str,
    images: Path,
    /,
    *,
    output: Path,
    batch_size: int = 64,
    device: Device = "auto",
    skip_bad_images: bool = False,
    quiet: Quiet = False,
) -> int:
    """Turn every image of a folder into a vector with the encoder of a run.

    Args:
        encoder: A folder of `selector best --export`, a checkpoint, a run's folder, or a W&B artifact
            entity/project/model-RUN:ALIAS.
        images: A folder (its sub-folders are read too), or one image.
        output: FILE.npz (arrays features, float32 (N, D), and files) or FILE.parquet (columns file and
            features).
        batch_size: Images per batch.
        skip_bad_images: Skip and count images that cannot be read, instead of stopping.
    """
    if output.suffix not in _ENDINGS:
        raise UserError(f"--output must end in one of {', '.join(_ENDINGS)}, got '{printable(str(output))}'")
    if batch_size < 1:
        raise UserError(f"--batch-size must be at least 1, got {batch_size}")
    if not images.exists():
        raise UserError(f"no folder {printable(str(images))!r}: name a folder of images, or an image")
    from selector.reports.progress import progress
    from selector.training.embed_files import embed_files, images_below, write_features
    from selector.training.exported import load_encoder
    from selector.training.processes import device_named

    encode = load_encoder(encoder).to(device_named(device))
    with progress(quiet, "images") as show:
        say = partial(show, "embedding")
        say(0, None)
        found = embed_files(encode, images_below(images), batch_size, skip_bad_images, say)
    write_features(found, output)
    left_out = f", {len(found.bad)} unreadable left out" if found.bad else ""
    print(f"{len(found.files)} images, {found.features.shape[1]} numbers each: {output}{left_out}")
    return 0
