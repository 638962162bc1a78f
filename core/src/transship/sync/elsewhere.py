"""Jobs that run in other processes, perhaps on other machines."""

from __future__ import annotations

import functools
from dataclasses import replace

from transship.discovery import PluginManager
from transship.plugin.events import BlobProgress, Event
from transship.policy.document import ACCEPT_ALL, Policy
from transship.policy.files import load_policy
from transship.policy.requirements import Reject
from transship.sync.jobs import CopyJob, JobResult, run_job
from transship.sync.sides import Workplace, WorkplaceSettings


def run_elsewhere(job: CopyJob, settings: WorkplaceSettings) -> JobResult:
    """Do a job in this process, which has nothing to do with the one that made it.

    The policy is read for each job: this process may live long, and what it says may change.
    """
    workplace = _workplace(settings.disabled_plugins, settings.temporary_directory)
    policy = ACCEPT_ALL if settings.insecure_policy else load_policy(settings.policy, workplace.manager)
    events: list[Event] = []

    def keep(event: Event) -> None:
        if not isinstance(event, BlobProgress):
            events.append(event)

    outcome, _ = run_job(job, replace(workplace, policy=policy), keep)
    return JobResult(outcome, tuple(events))


@functools.lru_cache(maxsize=4)
def _workplace(disabled_plugins: tuple[str, ...], temporary_directory: str) -> Workplace:
    """The workplace of this process, kept for the jobs that come next; it accepts nothing."""
    manager = PluginManager(disabled_plugins)
    manager.load_extensions()
    return Workplace(manager, Policy((Reject(),), {}), temporary_directory=temporary_directory)
