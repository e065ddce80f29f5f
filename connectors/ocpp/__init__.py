"""Chargers over OCPP 1.6J: a central system that turns setpoints into charging profiles, and messages into readings.

Layers, from the wire up: `session` (one socket), `station` (one charger, whatever socket it has now), `central` (all of
them, and the server). The decisions are pure and have their own files: `profiles` (what is written into a charger),
`slots` (which setpoint counts, and what is answered), `meter_values` and `telemetry` (what a charger really draws).
Kafka is only in `bus`.
"""
