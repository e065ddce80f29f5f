"""The sub-commands, one module each; `sunshave.cli` finds them by name."""
