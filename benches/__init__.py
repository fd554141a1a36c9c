"""What libqed costs beside a raw file and beside QEMU: `make bench`, `docs/benchmarks.md`."""
