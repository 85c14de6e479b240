"""Asks a W&B server to stop runs: what the button "Stop run" of its pages does."""

from collections.abc import Sequence

from selector.errors import UserError
from selector.text import printable
from selector.tracking.wandb_client import Patience, Unanswered, WandbClient
from selector.tracking.wandb_listing import Selection, nodes
from selector.tracking.wandb_source import parse_source

_QUERY = """
query SelectorRunsToStop(
  $entity: String!, $project: String!, $filters: JSONString, $first: Int, $cursor: String
) {
  project(name: $project, entityName: $entity) {
    runs(filters: $filters, first: $first, after: $cursor) { edges { node { id name state } } }
  }
}
"""
_STOP = "mutation SelectorStop($id: ID!) { stopRun(input: {id: $id}) { success } }"


def stop_runs(source: str, names: Sequence[str], patience: Patience | None = None) -> list[str]:
    """Ask for these runs to be stopped; the process of each hears of it within seconds and ends.

    Args:
        source: What the runs were read from.
        names: Ids of the runs; one that has ended since is left alone.
        patience: How long to wait for the server.

    Returns:
        The runs that were asked to stop.

    Raises:
        UserError: The server refused, or cannot be reached; says which runs were asked by then.
    """
    place = parse_source(source)
    client = WandbClient.connect(place.host, patience or Patience())
    asked: list[str] = []
    try:
        for name in names:  # one by one: a run is looked at directly before it is stopped
            selection = Selection(place.entity, place.project, [{"name": name}])
            project = client.ask(_QUERY, selection.page(1, None))["project"]
            for node in nodes(project and project["runs"]):
                if node["state"] == "running":
                    answer = client.ask(_STOP, {"id": node["id"]}, field="stopRun")["stopRun"]
                    if not (answer and answer["success"]):
                        raise Unanswered("refused", f"run {printable(name)} was not stopped")
                    asked.append(name)
    except Unanswered as error:
        done = f" (asked to stop before: {printable(', '.join(asked))})" if asked else ""
        raise UserError(
            f"cannot stop runs of {printable(source)} on {client.server}: {error}{done}"
        ) from None
    return asked
