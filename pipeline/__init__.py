"""From readings to setpoints: a pure core, and a thin Faust shell around it (app, agents, topics, delivery)."""
