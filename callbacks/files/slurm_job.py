"""The SLURM job that a run is, and how it is put back into the queue."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment

REQUEUE = signal.SIGUSR1
"""What `#SBATCH --signal=USR1@SECONDS` has SLURM send before it ends a job."""


@dataclass(frozen=True)
class SlurmJob:
    """A job that `srun` has started."""

    number: str
    """As `scontrol` takes it."""

    @staticmethod
    def here() -> SlurmJob | None:
        """This process's; None elsewhere, and in an interactive job, where somebody is there."""
        if not SLURMEnvironment.detect():
            return None
        array = os.environ.get("SLURM_ARRAY_JOB_ID")
        number = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]
        return SlurmJob(number)

    def requeue(self) -> str:
        """Put it back into the queue; what to tell the user.

        SLURM then ends the processes of the job, this one too.
        """
        try:
            done = subprocess.run(
                ["scontrol", "requeue", self.number], capture_output=True, text=True, check=False
            )
        except OSError as error:
            return f"job {self.number} is not requeued: scontrol can't be run ({error.strerror})"
        if done.returncode:
            return (
                f"job {self.number} is not requeued: scontrol says {done.stderr.strip() or done.returncode}"
            )
        return f"job {self.number} is requeued"
