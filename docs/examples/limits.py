"""Reads what `sunshave decide` answers, and prints a line per decision: who may draw how much, and why."""

import json
import sys

for line in sys.stdin:
    for decision in json.loads(line).get("decisions", []):
        cars = (f"{c['charger']} {c['limit_a']:.1f} A ({c['binding']})" for c in decision["connectors"])
        print(decision["at"][11:19], *cars, sep="  ")
