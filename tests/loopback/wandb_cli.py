"""The `wandb` command as it is, but with an agent that asks for work every fifth of a second."""

import wandb.wandb_agent
from wandb.cli.cli import cli

wandb.wandb_agent.Agent.POLL_INTERVAL = 0.2  # type: ignore[assignment]
cli()
