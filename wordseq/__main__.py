"""`python -m wordseq` is the command `wordseq`."""

import sys

from wordseq.cli import main

sys.exit(main())
