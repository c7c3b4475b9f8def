"""`python -m gradflow`."""

from gradflow.cli import main

raise SystemExit(main())
