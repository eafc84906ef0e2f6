"""Adapters of the local runtime, as selected by the settings. Those for AWS or Kubernetes are the control plane's."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bindery_builder.adapters import BuilderAdapters

if TYPE_CHECKING:
    from bindery.adapters.kubernetes.access import Access
    from bindery.ports.build_service import BuildService
    from bindery.ports.queue import Queue
    from bindery.ports.session_launcher import SessionLauncher
    from bindery.ports.table import Table
    from bindery.web.stream.change_notifier import ChangeNotifier
    from bindery_local.builds.container_builds import ContainerBuilds
    from bindery_local.builds.uv.builds import UvBuilds
    from bindery_local.memory_queue import MemoryQueues
    from bindery_local.sessions.launcher import ProcessSessions
    from bindery_local.sqlite_table import SqliteTable


class LocalAdapters(BuilderAdapters):
    """Adapters of one machine. sqlite, local_builds, processes: None if the settings select another adapter for the port."""

    @property
    def isolated(self) -> bool:  # type: ignore[override]  # process sessions are not isolated
        return self.settings.launcher != "process"

    @cached_property
    def notifier(self) -> ChangeNotifier | None:
        from bindery.web.stream.change_notifier import ChangeNotifier

        return ChangeNotifier() if self.settings.table == "sqlite" else None

    @cached_property
    def sqlite(self) -> SqliteTable | None:
        if self.notifier is None:
            return None
        from bindery_local.sqlite_table import SqliteTable

        return SqliteTable(self.home / "table.sqlite", written=self.notifier.written)

    @cached_property
    def table(self) -> Table:
        return self.sqlite or super().table

    @cached_property
    def memory_queues(self) -> MemoryQueues:
        from bindery_local.memory_queue import MemoryQueues

        return MemoryQueues()

    @cached_property
    def queue(self) -> Queue:
        return self.memory_queues if self.settings.queues == "memory" else super().queue

    @cached_property
    def local_builds(self) -> UvBuilds | ContainerBuilds | None:
        match self.settings.builder:
            case "uv":
                return self._uv_builds()
            case "container":
                return self._container_builds()
            case _:
                return None

    @cached_property
    def build_service(self) -> BuildService:
        return self.local_builds or super().build_service

    def _uv_builds(self) -> UvBuilds:
        from bindery_local.builds.uv.builds import UvBuilds

        settings, beside = self.settings, Path(sys.executable).parent / "uv"
        return UvBuilds(
            self.home,
            self.contents,
            self.queue,
            self.clock,
            slots=settings.build_slots,
            max_bytes=settings.disk_bytes,
            uv=str(beside) if beside.exists() else "",
            conda_channels=settings.conda_channels,
        )

    def _container_builds(self) -> ContainerBuilds:
        from bindery.adapters.oci_registry import Registry
        from bindery_local.builds.container_builds import ContainerBuilds

        settings = self.settings
        return ContainerBuilds(
            self.home,
            self.contents,
            self.queue,
            self.clock,
            Registry(settings.registry, settings.registry_user, settings.registry_password.get_secret_value()),
            tool=settings.container_tool,
            base_image=settings.base_image,
            logins=self.pull_logins(),
            slots=settings.build_slots,
            max_bytes=settings.disk_bytes,
        )

    @cached_property
    def processes(self) -> ProcessSessions | None:
        if self.isolated:
            return None
        from bindery_local.builds.environments import environment_of, hold
        from bindery_local.sessions.launcher import ProcessSessions

        return ProcessSessions(
            self.home,
            self.contents,
            self.clock,
            find_environment=lambda image: environment_of(self.home, image),
            hold_environment=lambda image: hold(self.home, image),
            allowed_origins=self.settings.allowed_origins,
        )

    @cached_property
    def launcher(self) -> SessionLauncher:
        return self.processes or self.kubernetes

    def cluster_access(self) -> Access:
        if self.settings.eks_cluster or self.settings.kubeconfig_secret:
            return super().cluster_access()
        from bindery_local.kubeconfig_file import access_of

        return access_of(self.settings.kubeconfig)

    def recover(self) -> None:
        """Remove the unfinished builds and transfers of a crash. Called before any work starts."""
        if self.local_builds:
            self.local_builds.recover()
        self.contents.recover()

    def tidy(self) -> None:
        """Remove expired items, as DynamoDB does automatically. Raises Throttled."""
        if self.sqlite:
            self.sqlite.tidy(self.clock.now())

    def stop_processes(self) -> None:
        """Stop every session that is a process of this machine."""
        if self.processes:
            self.processes.stop_all()

    def kill_processes(self) -> None:
        """Kill every session that is a process of this machine at once."""
        if self.processes:
            self.processes.kill_all()

    def close_work(self) -> None:
        """Refuse new sessions, and end every build."""
        if self.processes:
            self.processes.close()
        if self.local_builds:
            self.local_builds.close()

    def close(self) -> None:
        """Close connections to a cluster. Its running sessions continue."""
        if self.isolated:
            self.kubernetes.close()
