"""What $WANDB_MODE means."""

SILENT_MODES = {"offline", "disabled", "dryrun"}  # nothing is to be sent
