#!/bin/bash
# Run once by the image, on an empty volume, after its own bucket (30 days) is made: quarters and months are kept for ever.
set -euo pipefail
influx bucket create --name "${DOCKER_INFLUXDB_INIT_BUCKET}_history" --org "$DOCKER_INFLUXDB_INIT_ORG" --retention 0
