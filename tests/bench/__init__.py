"""`make bench`: what a record, a decision and a recovery cost, beside others that do the same in the same run.

Not tests: nothing here passes or fails. Costs are CPU time of one process on one core, which is steadier than the clock
on a machine that does something else, too; each is the best of some runs. Readers are processes of their own
(`python -m tests.bench.NAME`), so that no one is charged for another's start.
"""
