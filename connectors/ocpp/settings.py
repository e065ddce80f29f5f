"""Every limit of the dispatcher, with its unit and what goes wrong when it is smaller or larger."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """How patient the dispatcher is. The defaults suit real chargers; tests shorten them."""

    call_timeout_s: float = 15.0
    """For an answer to a call. Smaller: slow chargers (Delta, mobile networks) look dead. Larger: a dead one holds up
    the others of its plan for longer than `control.ack_s` (30 s)."""
    config_timeout_s: float = 5.0
    """For GetConfiguration, which the first setpoint waits for. Larger: a charger that ignores it starts later."""
    boot_wait_s: float = 3.0
    """For a first message before we speak. Smaller: calls before BootNotification, which some firmware refuses.
    Larger: a charger that only reconnects (and says nothing, facts: SAP, MicroOcpp) gets its setpoint later."""
    spacing_s: float = 1.0
    """Between two calls to one charger. Smaller: slow controllers drop calls. Larger: decreases wait."""
    tick_s: float = 1.0
    """Between looks at the clock. Smaller: CPU (5 000 stations). Larger: expiry and silence are noticed later."""
    quiet_s: float = 15.0
    """Without a reading of a connector: an idle one is repeated, a charging one is asked. Contract: one in 20 s."""
    seen_s: float = 30.0
    """For a removed charger that took its 0 A to report that nothing flows. Smaller: the others wait for the end of its
    lease instead. Larger: one that reports nothing stays connected for longer."""
    send_timeout_s: float = 10.0
    """For a frame to leave. Smaller: a slow line is cut. Larger: a charger that stops reading blocks its task."""
    max_unread_bytes: int = 1024 * 1024
    """Written to one charger and not yet taken by it. Smaller: nothing gained, our frames are small. Larger: memory for
    whoever sends pings and never reads the pongs."""
    heartbeat_s: int = 60
    """Between the charger's Heartbeats. Smaller: traffic. Larger: NAT time-outs are noticed by pings only."""
    meter_interval_s: int = 10
    """MeterValueSampleInterval that a charger is asked for. Smaller: some refuse (Bender 10 s), CPU. Larger: decreases
    are seen later."""
    shutdown_s: float = 5.0
    """For calls in flight when we are told to stop. Smaller: answers are lost. Larger: a restart takes longer."""
    max_frame_bytes: int = 256 * 1024
    """Smaller: a large GetConfiguration answer closes the socket (1009). Larger: memory for garbage."""
    max_queued_frames: int = 8
    """Frames read ahead of our handling, per charger; more is memory only, TCP pushes back."""
    ping_s: float = 25.0
    """Between pings and for their answer. Smaller: mobile chargers flap. Larger: half-open sockets look online."""
    open_timeout_s: float = 60.0
    """For the handshake. 10 s would cut slow ones while 5 000 reconnect, and start a retry storm (measured)."""
    backlog: int = 4096
    """Handshakes that the kernel holds. Smaller: connections are refused while a fleet reconnects."""
