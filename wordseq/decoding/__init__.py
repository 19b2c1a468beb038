"""Search, forced decoding, and translation of text of any size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from wordseq.config.schema import Config
    from wordseq.decoding.translator import Translator


class LoadedFrom(NamedTuple):
    """Where a translator was loaded from."""

    folders: Sequence[str]
    """Of one run or a saved ensemble; several are the runs of an ensemble that is not saved."""
    checkpoint: str
    precision: str
    sha256: str
    """Of the checkpoints."""


def load_again(folders: Sequence[str], checkpoint: str, precision: str, sha256: str, config: "Config") -> "Translator":
    """Load a translator that was pickled in another process; it is here so that TensorFlow is imported quietly.

    Raises:
        UserError: the run is not there, is damaged, or was trained since.
    """
    from wordseq.system.tensorflow import import_tensorflow

    import_tensorflow()
    from wordseq.decoding.translator import Translator
    from wordseq.system.errors import UserError

    translator = Translator.load(folders, checkpoint, precision, config.decode.ensemble)
    if translator.origin is None or translator.origin.sha256 != sha256:
        raise UserError(f"{', '.join(folders)}: was trained since the Translator was pickled; load it again")
    translator.config = config
    return translator
