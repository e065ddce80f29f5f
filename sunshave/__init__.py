"""The front door: the command line, the settings, and the demo. No rule of the mission lives here."""
