"""The two data sources that the dashboards name, for InfluxDB 1.8 (user and password) and 2.x or 3 (token)."""

from __future__ import annotations

from dataclasses import dataclass, field

from dashboards.common import DETAIL, HISTORY, Json


@dataclass(frozen=True, slots=True)
class Influx:
    """InfluxDB as Grafana reaches it. `token` is an API token, or `user:password` on 1.8."""

    url: str
    bucket: str = "sunshave"
    token: str = field(default="", repr=False)


def data_sources(influx: Influx) -> list[Json]:
    """The detail and the history, under their fixed uids."""
    return [_source(influx, DETAIL, influx.bucket), _source(influx, HISTORY, f"{influx.bucket}_history")]


def _source(influx: Influx, uid: str, database: str) -> Json:
    body: Json = {
        "uid": uid,
        "name": uid,
        "type": "influxdb",
        "access": "proxy",
        "url": influx.url,
        "isDefault": False,
        "jsonData": {"version": "InfluxQL", "dbName": database, "httpMode": "GET"},
    }
    user, colon, password = influx.token.partition(":")
    if colon:
        return {**body, "user": user, "secureJsonData": {"password": password}}
    if influx.token:
        body["jsonData"]["httpHeaderName1"] = "Authorization"
        return {**body, "secureJsonData": {"httpHeaderValue1": f"Token {influx.token}"}}
    return body
