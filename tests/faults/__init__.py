"""Faults: workers, connections, servers, disks, caches and clocks that fail."""
