"""Pictures into a film and out of it, by the encoder that comes with imageio-ffmpeg."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np


def encode(path: Path, pictures: Iterable[np.ndarray], size: tuple[int, int], fps: int, grey: bool = False) -> Path:
    """Writes pictures [H W 3] (or [H W 1] with `grey`), uint8, of `size` (W, H).

    `.mp4` is H.264, which any browser plays; `.mkv` is FFV1, which loses nothing. Raises RuntimeError with what the
    encoder said.
    """
    import imageio_ffmpeg  # brings its own encoder; only needed here

    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error"]
    command += ["-f", "rawvideo", "-pix_fmt", "gray" if grey else "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(fps)]
    if path.suffix == ".mkv":
        command += ["-i", "-", "-c:v", "ffv1", "-pix_fmt", "gray" if grey else "bgr0", str(temporary)]
    else:
        # +faststart puts the index first: a page plays the video before all of it has come
        command += ["-i", "-", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "20", "-preset", "veryfast"]
        command += ["-movflags", "+faststart", str(temporary)]
    try:
        # Not imageio_ffmpeg.write_frames: it starts the encoder through os.fork, which may deadlock beside jax.
        with tempfile.TemporaryFile() as said:
            pipe = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said)
            with contextlib.suppress(BrokenPipeError), pipe:  # it says below why it stopped
                assert pipe.stdin is not None
                for picture in pictures:
                    pipe.stdin.write(np.ascontiguousarray(picture).tobytes())
            said.seek(0)
            if pipe.returncode:
                reason = said.read().decode(errors="replace").strip() or "it gave no reason"
                raise RuntimeError(f"The video encoder stopped while writing {path}: {reason}. Is the folder there and "
                                   "writable, and the disk not full?")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def decode(path: Path, grey: bool = False) -> Iterator[np.ndarray]:
    """The pictures of any film, [H W 3] or [H W 1], uint8. Raises ValueError with what the decoder said."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "error", "-i", str(path), "-fps_mode", "passthrough"]
    command += ["-f", "image2pipe", "-c:v", "pgm" if grey else "ppm", "-"]
    with tempfile.TemporaryFile() as said:
        pipe = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said)
        with pipe:
            assert pipe.stdout is not None
            while pipe.stdout.readline():  # P5 or P6, then width and height, the largest value, the bytes
                width, height = map(int, pipe.stdout.readline().split())
                pipe.stdout.readline()
                channels = 1 if grey else 3
                data = pipe.stdout.read(width * height * channels)
                yield np.frombuffer(data, np.uint8).reshape(height, width, channels)
        said.seek(0)
        if pipe.returncode:
            raise ValueError(f"{path} cannot be read as a video: {said.read().decode(errors='replace').strip()}")
