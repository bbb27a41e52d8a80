"""Host functions for sensor.c: a thermometer that is not quite right in the head, a valve, and a log.

    ttd record --host docs/examples/sensor.py sensor.wasm

What `read_sensor` makes up is logged, so a replay sees the same temperatures again, without this file.
"""

import random
import sys

from ttd.recorder.hostapi import Guest, HostError, f32, f64, host_function, u32

valve = 0.0


@host_function("env")
def read_sensor(guest: Guest, channel: u32) -> f64:
    if channel > 1:
        raise HostError(f"there is no sensor {channel}")
    return 20.0 + random.uniform(-5, 5) - 10 * valve


@host_function("env")
def set_valve(guest: Guest, position: f32) -> None:
    global valve
    valve = position


@host_function("env", "log")
def write_log(guest: Guest, text: u32, length: u32) -> None:
    print("sensor:", guest.read(text, length).decode("utf-8", "replace"), file=sys.stderr)
