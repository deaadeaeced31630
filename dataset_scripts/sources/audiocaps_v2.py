"""AudioCaps, release 2: edited captions for the clips of validation and test, and a larger training split.

Source: the folder `dataset2.0` of the AudioCaps repository; the same file names and columns as release 1. Captions are lower
case and many are corrected, so scores on the two releases cannot be compared: they are two configs.
"""

from __future__ import annotations

from .audiocaps import AudioCaps, _files


class AudioCapsV2(AudioCaps):
    """The second release: captions edited and in lower case."""

    name = "audiocaps_v2"
    release = "v2"
    files = _files("dataset2.0", "v2")
    where_to_get = "They are in the folder `dataset2.0` of https://github.com/cdjkim/audiocaps."
    is_lower_case = True
