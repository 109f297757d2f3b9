"""Starts a worker in a Job Object: limits, and an end of the whole tree. Not a boundary.

Written without Windows; untried. ``windows.py HOST_PID MEMORY_BYTES PROCESSES -- PROGRAM ARGUMENT...``, 0 for no limit.
The job ends with this process, however it ends, and this process ends with the worker or the host.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys

_SYNCHRONIZE, _INFINITE, _EXTENDED_LIMITS = 0x00100000, 0xFFFFFFFF, 9
_LIMIT_ACTIVE_PROCESSES, _LIMIT_JOB_MEMORY, _LIMIT_KILL_ON_CLOSE = 0x8, 0x200, 0x2000
_WAIT_FIRST = 0


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("per_process_user_time", ctypes.c_int64),
        ("per_job_user_time", ctypes.c_int64),
        ("limit_flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority_class", ctypes.c_uint32),
        ("scheduling_class", ctypes.c_uint32),
    )


class _ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", _BasicLimits),
        ("io_counters", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


def limits_for(memory_bytes: int, processes: int) -> _ExtendedLimits:
    """Return a job's limits; this launcher counts among its processes."""
    limits = _ExtendedLimits()
    limits.basic.limit_flags = _LIMIT_KILL_ON_CLOSE
    if memory_bytes:
        limits.basic.limit_flags |= _LIMIT_JOB_MEMORY
        limits.job_memory = memory_bytes
    if processes:
        limits.basic.limit_flags |= _LIMIT_ACTIVE_PROCESSES
        limits.basic.active_processes = processes + 1
    return limits


def main(arguments: list[str]) -> int:
    """Make the job, join it, start the worker in it, wait for worker or host."""
    host_pid, memory_bytes, processes = (int(word) for word in arguments[:3])
    kernel = ctypes.CDLL("kernel32")  # on 64 bits there is one way to call
    for name in ("CreateJobObjectW", "GetCurrentProcess", "OpenProcess"):
        getattr(kernel, name).restype = ctypes.c_void_p
    job = ctypes.c_void_p(kernel.CreateJobObjectW(None, None))
    limits = limits_for(memory_bytes, processes)
    size = ctypes.sizeof(limits)
    if not kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), size):
        raise OSError("the limits of the Job Object cannot be set")
    if not kernel.AssignProcessToJobObject(job, ctypes.c_void_p(kernel.GetCurrentProcess())):
        raise OSError("this process cannot join the Job Object")
    host = kernel.OpenProcess(_SYNCHRONIZE, False, host_pid)
    worker = subprocess.Popen(arguments[4:])
    inside = kernel.OpenProcess(_SYNCHRONIZE, False, worker.pid)
    handles = (ctypes.c_void_p * 2)(inside, host)
    ended = kernel.WaitForMultipleObjects(2 if host else 1, handles, False, _INFINITE)
    return worker.wait() if ended == _WAIT_FIRST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
