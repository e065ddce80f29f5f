"""`make soak`: real workers on a real Kafka, for half an hour, while everything that can break is broken.

`fleet` lives (houses, cars, a dispatcher), `chaos` breaks, `checks` look; `run` brings them together. One seed draws
the fleet and the faults; only when things happen to the millisecond is the machine's.
"""
