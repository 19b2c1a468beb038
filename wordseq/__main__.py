"""`python -m wordseq` is the command `wordseq`."""

import sys

from wordseq.cli.main import main

sys.exit(main())
