"""`python -m sunshave`: the same as the command `sunshave`."""

from sunshave.start import run

run()
