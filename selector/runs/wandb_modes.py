"""What $WANDB_MODE means."""

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")
SILENT_MODES = {"offline", "disabled", "dryrun"}  # nothing is to be sent
