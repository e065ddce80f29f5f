"""`python -m sunshave`: the same as the command `sunshave`."""

from sunshave.cli import main

main(prog_name="sunshave")
