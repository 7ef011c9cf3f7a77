"""Memory cgroups to run programs in, version 1 or 2. Needs root."""
import contextlib
import os
import pathlib
import signal
import time


class Cgroup:
    """A memory cgroup of its own, version 1 or 2, gone at the end."""

    def __init__(self, limit=None):
        base = pathlib.Path("/sys/fs/cgroup")
        self.v1 = (base / "memory").is_dir()
        self.folder = (base / "memory" if self.v1 else base) / f"enxuto-bench-{os.getpid()}"
        if not self.v1:
            (base / "cgroup.subtree_control").write_text("+memory")
        self.folder.mkdir()
        if limit:
            self.write("memory.limit_in_bytes" if self.v1 else "memory.max", limit)
            self.write("memory.memsw.limit_in_bytes" if self.v1 else "memory.swap.max", limit if self.v1 else 0)

    def write(self, name, value):
        if (self.folder / name).exists():
            (self.folder / name).write_text(str(value))

    def enter(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def peak(self):
        return int((self.folder / ("memory.max_usage_in_bytes" if self.v1 else "memory.peak")).read_text())

    def kills(self):
        text = (self.folder / ("memory.oom_control" if self.v1 else "memory.events")).read_text()
        return int(dict(line.split() for line in text.splitlines()).get("oom_kill", 0))

    def clear(self):
        """Ends what is still in it, such as children of a program that was killed."""
        while processes := (self.folder / "cgroup.procs").read_text().split():
            for process in processes:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(process), signal.SIGKILL)
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.rmdir()


def cgroups_work():
    try:
        with Cgroup(1 << 30):
            return True
    except OSError:
        return False
