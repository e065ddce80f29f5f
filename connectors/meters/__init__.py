"""Meters: bytes on the wire become messages, messages become our records.

    p1_wire, p1_tcp, mqtt      sockets and framing: bytes and MQTT messages
    p1_telegram, fields, formats, rounds      messages: what a meter said, in our units (`measured.Measured`)
    readings                   our record: signs, missing phases, times (`telemetry.meters`)
    sources, feed, tally, publisher, capture  the FILE of `sunshave meters`, and what runs it

Supporting another meter = its capture and the expected record in tests/connectors/meters/captures, and a row in
`formats`.
"""
