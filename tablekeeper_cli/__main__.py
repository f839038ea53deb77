"""`python -m tablekeeper_cli` is `tablekeeper`."""

from tablekeeper_cli.app import main

main()
